package admin

import (
	"net/http"
	"slices"
	"time"
)

// SetPatience sets how long a request may stand still, and returns what puts it back.
func SetPatience(d time.Duration) func() {
	old := patience
	patience = d
	return func() { patience = old }
}

// routeList is a routeTable that keeps the patterns.
type routeList []string

func (l *routeList) Handle(pattern string, _ http.Handler) { *l = append(*l, pattern) }

func (l *routeList) HandleFunc(pattern string, _ func(http.ResponseWriter, *http.Request)) {
	*l = append(*l, pattern)
}

// Routes are the patterns of all routes of a server that has everything.
func Routes(opt Options) []string {
	var l routeList
	NewServer(opt).addRoutes(&l, nil)
	slices.Sort(l)
	return l
}
