package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"stele/tree"
)

// parse reads the arguments: the verb, then flags and files in any order. Package flag would end at the first file.
func (a *app) parse(args []string) (v verb, files []string, err error) {
	key := ""
	for i := 0; i < len(args); i++ {
		name, value, has := strings.Cut(args[i], "=")
		switch {
		case args[i] == "--":
			files = append(files, args[i+1:]...)
			i = len(args)
		case name == "--json" && !has:
			a.json = true
		case name == "--vkey":
			if !has && i+1 < len(args) {
				i++
				value = args[i]
			}
			key = value
		case strings.HasPrefix(args[i], "-") && args[i] != "-":
			return v, nil, usage{fmt.Errorf("there is no flag %s", shown(name))}
		case a.verb == "":
			a.verb = args[i]
		default:
			files = append(files, args[i])
		}
	}
	for _, v = range verbs() {
		if v.name == a.verb {
			return v, files, a.check(v, files, key)
		}
	}
	wrong := a.verb
	a.verb = "" // its help does not exist
	return v, nil, usage{fmt.Errorf("there is no verb %s: %s", shown(wrong), strings.Join(names(), ", "))}
}

// check refuses what the verb can't mean, and reads the key.
func (a *app) check(v verb, files []string, key string) (err error) {
	switch form := "stele-verify " + v.name + " " + v.args; {
	case len(files) < v.least:
		return usage{fmt.Errorf("something is missing: %s", form)}
	case v.most >= 0 && len(files) > v.most:
		return usage{fmt.Errorf("%s is one argument too many: %s", shown(files[v.most]), form)}
	case key == "":
		return usage{fmt.Errorf("--vkey is missing: %s", form)}
	}
	a.vkey, err = keyOf(key)
	return err
}

// keyOf is the verifier key itself, or the content of the file that --vkey names.
func keyOf(arg string) (string, error) {
	key := arg
	f, err := os.Open(arg)
	if err == nil {
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, 4<<10))
		if err != nil {
			return "", sourceError(err)
		}
		key = strings.TrimSpace(string(b))
	} else if !strings.Contains(arg, "+") {
		return "", usage{fmt.Errorf("%s is neither a file that is there nor a verifier key: that should look like ORIGIN+HASH+KEY, as `stele version --vkey` prints it", shown(arg))}
	}
	if _, err := tree.NewVerifier(key); err != nil {
		return "", usage{fmt.Errorf("%s is no verifier key: that should look like ORIGIN+HASH+KEY, as `stele version --vkey` prints it", shown(key))}
	}
	return key, nil
}

// open opens a file; - is standard input.
func (a *app) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(a.stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, sourceError(err)
	}
	return f, nil
}

// mostBytes bounds what is read into memory: no receipt and no certificate comes near it.
const mostBytes = 64 << 20

// read reads a receipt or a certificate; - is standard input.
func (a *app) read(name string) ([]byte, error) {
	f, err := a.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostBytes+1))
	if err != nil {
		return nil, sourceError(err)
	}
	if len(b) > mostBytes {
		return nil, usage{fmt.Errorf("%s has more than %d bytes: it is no receipt and no certificate", shown(name), mostBytes)}
	}
	return b, nil
}
