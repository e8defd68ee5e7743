package ledger

// Faults are the deliberate bugs that tests switch on.
type Faults = faults

// SetFaults gives every ledger opened from now on these bugs, until the function returned is called.
func SetFaults(f Faults) (restore func()) {
	old := testFaults
	testFaults = f
	return func() { testFaults = old }
}
