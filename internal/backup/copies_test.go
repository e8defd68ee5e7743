package backup

import (
	"context"
	"testing"
)

// TestAskAll: answers come back in the order of the questions, whoever was first, and one that hangs holds up nobody.
func TestAskAll(t *testing.T) {
	turn := []chan struct{}{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	close(turn[2])
	answers, all := askAll(t.Context(), len(turn), func(i int) int {
		<-turn[i] // the last one answers first
		if i > 0 {
			close(turn[i-1])
		}
		return i * i
	})
	for i, a := range answers {
		if a == nil || *a != i*i {
			t.Errorf("answer %d is %v, want %d", i, a, i*i)
		}
	}
	if !all {
		t.Error("everybody has answered, and it says otherwise")
	}

	forever := make(chan struct{})
	defer close(forever)
	ctx, cancel := context.WithCancel(t.Context())
	answers, all = askAll(ctx, 1, func(int) int {
		cancel()
		<-forever
		return 0
	})
	if all || answers[0] != nil {
		t.Errorf("one who never answered: %v, all have: %v", answers, all)
	}
}
