//go:build !linux

package config

import (
	"fmt"
	"os"
	"reflect"
)

// device names the device that a folder lies on, "" if it can't be told.
func device(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	if sys := reflect.ValueOf(info.Sys()); sys.Kind() == reflect.Pointer && !sys.IsNil() && sys.Elem().Kind() == reflect.Struct {
		if dev := sys.Elem().FieldByName("Dev"); dev.IsValid() && dev.CanInterface() {
			return fmt.Sprint(dev.Interface())
		}
	}
	return ""
}
