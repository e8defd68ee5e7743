package client

import (
	"encoding/json"

	"stele/internal/rpc"
)

// marshal is json.Marshal for what travels to a server, and refuses text that is not UTF-8: encoding/json writes U+FFFD in its place, and the server would act
// on another name than the one that was given.
func marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	// It writes that character as it is where it was given, and escaped only where it stands for a byte that was replaced.
	const replaced = `\ufffd`
	for i := 0; i+len(replaced) <= len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		if string(b[i:i+len(replaced)]) == replaced {
			return nil, rpc.BadValue("a name or a text in the arguments is not UTF-8")
		}
		i++ // the escaped character, which may be a backslash
	}
	return b, nil
}
