package client

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/minio/minio-go/v7/pkg/signer"

	"stele/internal/rpc"
)

// unsigned stands for the hash of a body that the signature does not cover.
const unsigned = "UNSIGNED-PAYLOAD"

// sign returns a request signed with AWS Signature Version 4 (source: "Signature Calculations for the Authorization Header"). sum is the hex SHA-256 of the body, or unsigned.
func sign(req *http.Request, id, secret, sum string) *http.Request {
	req.Header.Set("X-Amz-Content-Sha256", sum)
	return signer.SignV4WithServiceType(*req, id, secret, "", rpc.Region, rpc.Service)
}

func sumOf(body []byte) string {
	h := sha256.Sum256(body)
	return hex.EncodeToString(h[:])
}
