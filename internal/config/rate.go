package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Rate reads a number of bytes a second: 0 or empty for no limit, else digits with or without a fraction and k, M or G (10³, 10⁶, 10⁹) or Ki, Mi or Gi (2¹⁰, 2²⁰, 2³⁰), with or without B: 500k, 2.5MB, 16KiB.
func Rate(text string) (bytesPerSecond int64, err error) {
	if text == "" {
		return 0, nil
	}
	number := strings.TrimSuffix(strings.TrimSuffix(text, "B"), "b")
	unit := 1.0
	for suffix, n := range map[string]float64{"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30} {
		if rest, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = rest, n
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n >= 0) || n*unit >= 1<<53 || n > 0 && n*unit < 1 {
		return 0, fmt.Errorf("%q is no rate: write bytes a second as 500k, 20MB or 1G", text)
	}
	return int64(n * unit), nil
}
