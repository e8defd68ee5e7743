//go:build !stelebugs

package bug

// On says whether a bug is planted: never in this build.
func On(Bug) bool { return false }

// Ways is how often a test runs that compares a program without and with a bug: here without it alone.
func Ways() []bool { return []bool{false} }

// Plant skips the rest of a test that needs bugs.
func Plant(t T, _ ...Bug) (pull func()) {
	t.Helper()
	t.Skip("the rest needs a deliberate bug: go test -tags stelebugs; TestEveryBugIsCaught of internal/bug runs it")
	return func() {}
}
