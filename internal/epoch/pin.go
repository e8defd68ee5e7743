package epoch

import (
	"encoding/json"
	"fmt"

	"stele/internal/core"
	"stele/internal/durable"
)

// Pin is what a standby holds fast of the store that it follows.
type Pin struct {
	Store   string `json:"store"` // id
	VKey    string `json:"vkey"`
	From    string `json:"from"`
	Keyless bool   `json:"keyless"`
	// Reigns are the epochs before that of VKey, in order: those that it went through, and those through which what it follows came.
	Reigns []Reign `json:"reigns,omitempty"`
}

// Pin returns what a standby's folder holds fast; false: nothing yet.
func (s *Epochs) Pin() (pin Pin, ok bool, err error) {
	b, err := core.ReadFile(s.core.FS, s.core.Path(core.FileStandby))
	if core.IsNotExist(err) {
		return pin, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &pin)
	}
	if err != nil {
		return pin, false, fmt.Errorf("couldn't read %s: %w", s.core.Path(core.FileStandby), err)
	}
	return pin, true, nil
}

// SetPin holds fast whom a standby follows. The store and its key never change once they are pinned.
func (s *Epochs) SetPin(pin Pin) error {
	b, err := json.Marshal(pin)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(s.core.FS, s.core.Dir()); err != nil { // without keys nothing made it before
		return fmt.Errorf("couldn't make the folder %s: %w", s.core.Dir(), err)
	}
	return durable.Replace(s.core.FS, s.core.Path(core.FileStandby), append(b, '\n'), durable.PrivateFile)
}
