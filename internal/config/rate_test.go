package config

import "testing"

func TestRate(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "0": 0, "500": 500, "500k": 500_000, "2.5MB": 2_500_000, "1G": 1_000_000_000, "20MB": 20_000_000, "7B": 7, "16KiB": 16 << 10, "1.5Mi": 3 << 19} {
		if got, err := Rate(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"-1", "fast", "1TB", "MB", "1e400", "0.1", "1 MB", "NaN", "Inf"} {
		if got, err := Rate(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}
