package target

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"stele/internal/engine/s3"
)

// key finds a key in the first place that has one; both halves come from the same place.
func (opt *Options) key(kind string, given s3.Credentials) (s3.Credentials, error) {
	if given.AccessKey != "" || given.SecretKey != "" {
		return whole(given, "the options")
	}
	prefixes := []string{"STELE_TARGET_" + kind}
	if opt.Name != "" {
		prefixes = []string{"STELE_TARGET_" + variable(opt.Name) + "_" + kind, prefixes[0]}
	}
	if kind != "" && opt.AccessKey != "" {
		prefixes = prefixes[:len(prefixes)-1] // a target with a key of its own gets no key that is for any target: only what bears its name
	}
	for _, p := range prefixes {
		id, err := opt.env(p + "ACCESS_KEY")
		if err != nil {
			return s3.Credentials{}, err
		}
		secret, err := opt.env(p + "SECRET_KEY")
		if err != nil {
			return s3.Credentials{}, err
		}
		if id != "" || secret != "" {
			return whole(s3.Credentials{AccessKey: id, SecretKey: secret, SessionToken: opt.Getenv(p + "SESSION_TOKEN")}, p+"…")
		}
	}
	if kind != "" {
		return s3.Credentials{}, nil
	}
	c := s3.Credentials{AccessKey: opt.Getenv("AWS_ACCESS_KEY_ID"), SecretKey: opt.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: opt.Getenv("AWS_SESSION_TOKEN")}
	if c.AccessKey == "" && c.SecretKey == "" {
		return s3.Credentials{}, nil
	}
	return whole(c, "AWS_…")
}

// whole refuses half a key.
func whole(c s3.Credentials, from string) (s3.Credentials, error) {
	if c.AccessKey == "" || c.SecretKey == "" {
		return c, fmt.Errorf("%w: %s has one half of a key: an access key and its secret key go together", s3.ErrCredentials, from)
	}
	return c, nil
}

// env is a variable, or what is in the file that NAME_FILE names.
func (opt *Options) env(name string) (string, error) {
	value, file := opt.Getenv(name), opt.Getenv(name+"_FILE")
	if value != "" || file == "" {
		return value, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s_FILE: couldn't read it: %w", name, err)
	}
	if value = string(bytes.TrimSpace(b)); value == "" {
		return "", fmt.Errorf("%s_FILE: %s is empty", name, file)
	}
	return value, nil
}

// variable is a target's name as a part of a variable's name.
func variable(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
}

func first(getenv func(string) string, names ...string) string {
	for _, n := range names {
		if v := getenv(n); v != "" {
			return v
		}
	}
	return ""
}
