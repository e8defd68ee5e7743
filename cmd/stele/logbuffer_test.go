package main

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stele/internal/config"
	"stele/internal/s3api"
)

// written is a log's file that counts the writes.
type written struct {
	text   strings.Builder
	writes int
	err    error
}

func (w *written) Write(p []byte) (int, error) {
	w.writes++
	w.text.Write(p)
	return len(p), w.err
}

func TestLogBuffer(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &written{}
				cfg := config.Merge(config.Config{LogFormat: format}, config.Default)
				log := logTo(w, &cfg).With("store", "x")
				for range 3 {
					log.Info(s3api.AccessLine, "op", "GetObject")
				}
				if w.writes != 0 {
					t.Fatalf("%d writes before the delay", w.writes)
				}
				time.Sleep(2 * logDelay)
				synctest.Wait()
				if n := strings.Count(w.text.String(), "GetObject"); w.writes != 1 || n != 3 {
					t.Fatalf("%d lines in %d writes after the delay, want 3 in 1", n, w.writes)
				}
				log.Info(s3api.AccessLine, "op", "PutObject")
				log.WithGroup("g").Warn("disk", "free", 1)
				got := w.text.String()
				put, disk := strings.Index(got, "PutObject"), strings.Index(got, "disk")
				if put < 0 || disk < put {
					t.Fatalf("a warning must be written at once, and what came before it first: %q", got)
				}
			})
		})
	}
}

func TestLogBufferIsBounded(t *testing.T) {
	w := &written{}
	b := newLogBuffer(w)
	line := []byte(strings.Repeat("x", logRoom/4))
	for range 4 {
		b.Write(line)
	}
	if w.writes != 1 || w.text.Len() != logRoom {
		t.Errorf("%d bytes in %d writes, want %d in 1", w.text.Len(), w.writes, logRoom)
	}
	w.err = errors.New("no room")
	b.Write(line)
	if err := slog.New(flushing{slog.NewTextHandler(b, nil), b}).Handler().Handle(t.Context(), slog.Record{Message: "warn"}); err == nil {
		t.Error("a line that could not be written has no error")
	}
}
