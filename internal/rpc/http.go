package rpc

// What both sides know of HTTP.
const (
	// Region is the region that the signatures of the admin port name, whatever the region of the S3 port is.
	Region = "us-east-1"

	// Service is the service that the signatures of the admin port name, one of its own (frozen). Otherwise a request that was signed for the S3 port, and seen on its way, would be good here too wherever
	// a path of the one is a path of the other: the object "entries" of a bucket "ledger" is the ledger's private parts.
	Service = "stele-admin"

	TrailerError = "Stele-Error" // the trailer that ends a stream: null or an Error, escaped as a part of a path is
	HeaderFile   = "Stele-File"  // what the answer of PathFile is a piece of: a stele.ReplicaFile

	MaxArgs  = 1 << 20  // bytes of an argument
	MaxProof = 64 << 10 // the same of a call that anyone may make: nobody knows who has the server hold them
	MaxPiece = 4 << 20  // bytes of one answer of PathFile
)

// The pages that a client of ours asks for besides the calls.
const (
	PathHandover   = "/ledger/handover"
	PathState      = "/replica/state"
	PathFiles      = "/replica/files"
	PathFile       = "/replica/file"
	PathSuccession = "/replica/succession"
	PathReady      = "/healthz/ready"
)

// Reply is a result, an error or both.
type Reply[R any] struct {
	V      int    `json:"v"` // 1
	Result R      `json:"result"`
	Error  *Error `json:"error,omitempty"`
}
