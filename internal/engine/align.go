package engine

import "stele/internal/durable"

// AlignedBuffer returns n bytes that a Growing in direct I/O writes without copying them first.
func AlignedBuffer(n int) []byte { return durable.AlignedBuffer(n) }
