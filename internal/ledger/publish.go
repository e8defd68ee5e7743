package ledger

import (
	"fmt"
	"sync"
	"time"

	"stele/internal/engine"
)

// publisher moves the published checkpoint along, at most once every Options.PublishEvery, so that whoever watches the ledger from outside sees
// few heads, each consistent with the last. A checkpoint is kept in a file before it is shown, so that the next Open notices a ledger that was
// rolled back behind what was shown.
type publisher struct {
	kicked chan struct{} // holds a token when the ledger has grown
	quit   chan struct{}
	done   chan struct{}

	storing sync.Mutex // one publish at a time
	size    uint64     // of newest; guarded by storing

	mu     sync.Mutex
	newest []byte
}

func (p *publisher) init() {
	p.kicked, p.quit, p.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
}

func (p *publisher) kick() {
	select {
	case p.kicked <- struct{}{}:
	default:
	}
}

func (p *publisher) start(l *Ledger) {
	p.publish(l)
	go func() {
		defer close(p.done)
		pause := time.NewTimer(0)
		defer pause.Stop()
		for {
			select {
			case <-p.kicked:
			case <-p.quit:
				return
			}
			select {
			case <-pause.C:
			case <-p.quit:
				return
			}
			p.publish(l)
			pause.Reset(l.opt.PublishEvery)
		}
	}()
}

// stop publishes what is newest and ends the goroutine, if start began it.
func (p *publisher) stop(l *Ledger) {
	close(p.quit)
	<-p.done
	p.publish(l)
}

// publish publishes the newest durable head. If it can't be kept, it isn't published, and the one before stays: on a full disk, or without a free
// file descriptor, until the next try; after any other error for ever, because the ledger has failed.
func (p *publisher) publish(l *Ledger) {
	l.mu.RLock()
	h := l.head
	l.mu.RUnlock()
	p.storing.Lock() // one at a time: in the file a smaller size must never follow a larger one
	defer p.storing.Unlock()
	if h.size <= p.size || h.signer == nil {
		return
	}
	note := l.note(h)
	if l.opt.Published != nil {
		err := l.opt.Published.Store(note)
		if l.opt.Unpublished != nil {
			l.opt.Unpublished(err)
		}
		if engine.Short(err) {
			p.kick() // tried again after the pause
			return
		} else if err != nil {
			l.fail(fmt.Errorf("couldn't keep the published checkpoint: %w", err))
			return
		}
	}
	p.size = h.size
	p.mu.Lock()
	p.newest = note
	p.mu.Unlock()
}

// Published is the newest published checkpoint, a signed note: it moves at most once every Options.PublishEvery, and on Close.
func (l *Ledger) Published() []byte {
	l.publish.mu.Lock()
	defer l.publish.mu.Unlock()
	return l.publish.newest
}
