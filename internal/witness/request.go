package witness

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"stele/tree"
)

// SizeType is the type of an answer that tells the size cosigned last (c2sp.org/tlog-witness, frozen).
const SizeType = "text/x.tlog.size"

// MaxRequest is the most bytes that a request to cosign may have.
const MaxRequest = 64 << 10

// maxProof is the most lines of proof that a request may have, by the specification.
const maxProof = 63

// AppendRequest appends the body of a request to cosign, add-checkpoint:
//
//	old <size>
//	<proof, base64, a line for each hash>
//
//	<checkpoint>
func AppendRequest(dst []byte, old uint64, proof []tree.Hash, signed []byte) []byte {
	dst = append(strconv.AppendUint(append(dst, "old "...), old, 10), '\n')
	for i := range proof {
		dst = append(base64.StdEncoding.AppendEncode(dst, proof[i][:]), '\n')
	}
	return append(append(dst, '\n'), signed...)
}

// ParseRequest reads what AppendRequest wrote; all else is tree.ErrFormat. The checkpoint is not looked at.
func ParseRequest(b []byte) (old uint64, proof []tree.Hash, signed []byte, err error) {
	head, signed, ok := bytes.Cut(b, []byte("\n\n"))
	if !ok || len(b) > MaxRequest {
		return 0, nil, nil, fmt.Errorf("request of %d bytes: %w", len(b), tree.ErrFormat)
	}
	lines := strings.Split(string(head), "\n")
	size, ok := strings.CutPrefix(lines[0], "old ")
	if old, err = strconv.ParseUint(size, 10, 64); err != nil || !ok || len(lines) > 1+maxProof {
		return 0, nil, nil, fmt.Errorf("request %q with %d lines of proof: %w", lines[0], len(lines)-1, tree.ErrFormat)
	}
	for _, line := range lines[1:] {
		h, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(h) != len(tree.Hash{}) {
			return 0, nil, nil, fmt.Errorf("proof line %q: %w", line, tree.ErrFormat)
		}
		proof = append(proof, tree.Hash(h))
	}
	// What can be read in more than one way (+1, 01, other base64) is not the form.
	if !bytes.Equal(AppendRequest(make([]byte, 0, len(b)), old, proof, signed), b) {
		return 0, nil, nil, fmt.Errorf("request: %w", tree.ErrFormat)
	}
	return old, proof, signed, nil
}
