package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"
)

// progress is one line about work under way, on standard error: redrawn on a terminal, else a plain line every ten seconds.
type progress struct {
	w        io.Writer
	tty      bool
	verb     string
	noun     string // what things counts: "file"; empty: bytes alone
	start    time.Time
	things   atomic.Int64
	bytes    atomic.Int64
	ofThings atomic.Int64 // 0: not known yet
	ofBytes  atomic.Int64

	stop chan struct{}
	done sync.WaitGroup
}

const (
	redrawEvery = 200 * time.Millisecond
	lineEvery   = 10 * time.Second
)

// progress starts a line: verb is "put", "verified". end must be called.
func (a *app) progress(verb, noun string) *progress {
	p := &progress{w: a.stderr, tty: isTerminal(a.stderr), verb: verb, noun: noun, start: time.Now(), stop: make(chan struct{})}
	if a.cli.Quiet {
		return p
	}
	every := lineEvery
	if p.tty {
		every = redrawEvery
	}
	p.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-tick.C:
				p.draw()
			}
		}
	})
	return p
}

// end takes the line away. What comes of the work is for the verb to say.
func (p *progress) end() {
	close(p.stop)
	p.done.Wait()
	if p.tty {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func (p *progress) draw() {
	line := p.line(time.Since(p.start))
	if !p.tty {
		fmt.Fprintln(p.w, line)
		return
	}
	if f, ok := p.w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && len(line) >= width && width > 1 {
			line = line[:width-1]
		}
	}
	fmt.Fprint(p.w, "\r\x1b[K"+line)
}

// line says how far the work is, how fast it goes and how long it will take.
func (p *progress) line(took time.Duration) string {
	things, bytes, ofThings, ofBytes := p.things.Load(), p.bytes.Load(), p.ofThings.Load(), p.ofBytes.Load()
	secs := max(took.Seconds(), 0.001)
	s := p.verb
	if p.noun != "" {
		s += " " + thousands(uint64(things))
		if ofThings > 0 {
			s += " of " + thousands(uint64(ofThings))
		}
		s += " " + p.noun + "s,"
	}
	s += " " + size(bytes)
	if ofBytes > 0 {
		s += " of " + size(ofBytes)
	}
	s += fmt.Sprintf(", %s/s", size(int64(float64(bytes)/secs)))
	if p.noun != "" {
		s += fmt.Sprintf(", %.0f %ss/s", float64(things)/secs, p.noun)
	}
	if eta, ok := eta(took, things, ofThings, bytes, ofBytes); ok {
		s += ", " + eta.Round(time.Second).String() + " left"
	}
	return s
}

// eta goes by whichever of files and bytes is further behind: a tree of small files is bound by their number.
func eta(took time.Duration, things, ofThings, bytes, ofBytes int64) (time.Duration, bool) {
	left := time.Duration(-1)
	for _, n := range [][2]int64{{things, ofThings}, {bytes, ofBytes}} {
		done, of := n[0], n[1]
		if done <= 0 || of <= 0 || done > of {
			continue
		}
		left = max(left, time.Duration(float64(took)*float64(of-done)/float64(done)))
	}
	return left, left >= 0 && took > time.Second
}
