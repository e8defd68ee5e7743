//go:build !linux

package target

import (
	"errors"
	"fmt"
	"os"
	"reflect"
)

// statPath returns the device number of the file system that a path lies on. This system tells nothing of disks, so that a device is all that is compared.
func statPath(path string) (device string, fsType int64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", 0, err
	}
	if sys := reflect.ValueOf(info.Sys()); sys.Kind() == reflect.Pointer && !sys.IsNil() && sys.Elem().Kind() == reflect.Struct {
		if dev := sys.Elem().FieldByName("Dev"); dev.IsValid() && dev.CanInterface() {
			return fmt.Sprint("device ", dev.Interface()), 0, nil
		}
	}
	return "", 0, errors.New("the system does not tell the device")
}
