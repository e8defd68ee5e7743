package s3api

import (
	"net/http"
)

// AfterJudging has fn called whenever the tags of a version have judged a request.
func AfterJudging(h http.Handler, fn func()) { h.(*server).afterJudging = fn }
