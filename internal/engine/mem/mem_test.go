package mem_test

import (
	"errors"
	"testing"

	"stele/internal/engine"
	"stele/internal/engine/enginetest"
	"stele/internal/engine/mem"
)

func TestConformance(t *testing.T) {
	enginetest.RunAppender(t, func(testing.TB) enginetest.Rig {
		m := mem.New()
		return enginetest.Rig{
			Engine:   m,
			PowerCut: func() engine.Appender { return m.PowerCut() },
			FailSync: func() { m.FailSync(errors.New("EIO")) },
			Fill:     func() { m.Limit(1 << 20) },
		}
	})
}

func TestReplacer(t *testing.T) {
	enginetest.RunReplacer(t, func(testing.TB) engine.Engine { return mem.New() })
}
