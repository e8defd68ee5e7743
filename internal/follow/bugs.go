package follow

// Bugs are deliberate ones, which the tests of those who follow must notice. Only tests set them, before a standby is opened.
type Bugs struct {
	NoteNotKept     bool // a checkpoint is not durable when it counts as accepted
	SkipChunks      bool // an entry counts without its chunks
	SkipPackSync    bool // packs are not fsynced
	SkipLocks       bool // a lock may be shortened
	SkipConsistency bool // a checkpoint need not go on from the accepted one
}

// Bug is what is wrong with standbys opened from now on.
var Bug Bugs
