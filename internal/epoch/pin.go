package epoch

import (
	"encoding/json"
	"fmt"

	"stele/internal/core"
	"stele/internal/durable"
)

// Pin is what a standby holds fast of the store that it follows.
type Pin struct {
	Store   string `json:"store"`   // id
	VKey    string `json:"vkey"`    // of the epoch that it follows
	From    string `json:"from"`    // the admin address of the primary
	Keyless bool   `json:"keyless"` // it has no keyring: it verifies and cosigns, and can read nothing
	// Reigns are the epochs before that of VKey, in order: those that it went through, and those through which what it follows came.
	Reigns []Reign `json:"reigns,omitempty"`
}

// PinIn returns what a standby's folder holds fast; false: nothing yet.
func PinIn(c *core.Store) (pin Pin, ok bool, err error) {
	b, err := core.ReadFile(c.FS, c.Path(core.FileStandby))
	if core.IsNotExist(err) {
		return pin, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &pin)
	}
	if err != nil {
		return pin, false, fmt.Errorf("couldn't read %s: %w", c.Path(core.FileStandby), err)
	}
	return pin, true, nil
}

// SetPin holds fast whom a standby follows, durably: after a crash there is the old pin or the new one. Only Succeed, with a proof, makes the next pin of one that is set.
func SetPin(c *core.Store, pin Pin) error {
	b, err := json.Marshal(pin)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(c.FS, c.Dir()); err != nil { // without keys nothing made it before
		return err
	}
	return durable.Replace(c.FS, c.Path(core.FileStandby), append(b, '\n'), durable.PrivateFile)
}
