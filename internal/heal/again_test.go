package heal

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestTurnsWaitLonger: what is damaged again after it was replaced is replaced after 5 minutes, then 10, and so on up to a day; where it stayed whole for long, the wait begins anew.
func TestTurnsWaitLonger(t *testing.T) {
	now := time.Hour
	turns := Turns{Now: func() time.Duration { return now }}
	ctx := context.Background()
	runs := 0
	try := func() error {
		return turns.Do(ctx, "pack", func() error {
			if err := turns.Again(ctx, "pack"); err != nil {
				return err
			}
			runs++
			turns.Replaced("pack")
			return nil
		})
	}
	for i := range 20 * 24 * 60 { // a read a minute for 20 days
		now += time.Minute
		if err := try(); err != nil && !errors.As(err, new(*AgainError)) {
			t.Fatal(i, err)
		}
	}
	if runs < 20 || runs > 30 {
		t.Errorf("replaced %d times in 20 days", runs)
	}
	now += 3 * again.Most
	if err := try(); err != nil {
		t.Error(err)
	}
	if err := try(); !errors.As(err, new(*AgainError)) {
		t.Errorf("at once: %v", err)
	}
	if err := turns.Do(AtOnce(ctx), "pack", func() error { return turns.Again(AtOnce(ctx), "pack") }); err != nil {
		t.Errorf("who asks for it: %v", err)
	}
	now += again.First
	if err := try(); err != nil {
		t.Errorf("after it was whole for days: %v", err)
	}
	if err := turns.Do(ctx, "other", func() error { return nil }); err != nil {
		t.Error(err)
	}
}
