package index

// AllTotals adds up the counters of all incarnations.
func (db *DB) AllTotals() (sum Totals) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	for _, t := range db.totals {
		sum.add(t)
	}
	return sum
}
