package index

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// heldCompactions is a compaction scheduler that keeps compactions back until it is released: while tables are missing they would fetch what nobody asked for, and an error of the
// target would end all writing. From then on it lets run as many as the database allows.
type heldCompactions struct {
	mu       sync.Mutex
	db       pebble.DBForCompaction // nil before Register and after Unregister
	released bool
	running  int
	granting sync.WaitGroup
}

// Register implements pebble.CompactionScheduler.
func (h *heldCompactions) Register(_ int, db pebble.DBForCompaction) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.db = db
}

// Unregister implements pebble.CompactionScheduler.
func (h *heldCompactions) Unregister() {
	h.mu.Lock()
	h.db = nil
	h.mu.Unlock()
	h.granting.Wait()
}

// TrySchedule implements pebble.CompactionScheduler.
func (h *heldCompactions) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	_, ok := h.take()
	return ok, h
}

// take takes one of the places for compactions.
func (h *heldCompactions) take() (pebble.DBForCompaction, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.released || h.db == nil || h.running >= h.db.GetAllowedWithoutPermission() {
		return nil, false
	}
	h.running++
	return h.db, true
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler.
func (h *heldCompactions) UpdateGetAllowedWithoutPermission() { h.grant() }

// grant offers the free places to compactions that wait. It calls into the database without its own lock, as the database's order of locks demands, and on a goroutine of its own.
func (h *heldCompactions) grant() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.released || h.db == nil {
		return
	}
	h.granting.Go(func() {
		for {
			db, ok := h.take()
			if !ok {
				return
			}
			if waiting, _ := db.GetWaitingCompaction(); waiting && db.Schedule(h) {
				continue
			}
			h.mu.Lock()
			h.running--
			h.mu.Unlock()
			return
		}
	})
}

func (h *heldCompactions) release() {
	h.mu.Lock()
	h.released = true
	h.mu.Unlock()
	h.grant()
}

// Started implements pebble.CompactionGrantHandle.
func (h *heldCompactions) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (h *heldCompactions) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle.
func (h *heldCompactions) CumulativeStats(pebble.CompactionGrantHandleStats) {}

// Done implements pebble.CompactionGrantHandle.
func (h *heldCompactions) Done() {
	h.mu.Lock()
	h.running--
	h.mu.Unlock()
	h.grant()
}
