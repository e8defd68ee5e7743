package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"stele"
)

type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Make an access key. Its secret is printed once."`
	List   keyListCmd   `cmd:"" help:"List access keys."`
	Revoke keyRevokeCmd `cmd:"" help:"End an access key at once, for requests under way too."`

	ShowRoot keyShowRootCmd `cmd:"" help:"Print the root access key that is kept in the data folder."`
}

type keyShowRootCmd struct {
	Secret bool `help:"Print the secret alone, for a script."`
}

func (c *keyShowRootCmd) Run(ctx context.Context, a *app) error {
	if a.cli.Server != "" {
		return usage{errors.New("the root key is shown to who may read the data folder, and does not go through --server")}
	}
	k, err := stele.RootOf(a.data(), stele.Options{FS: a.fs})
	switch {
	case err != nil:
		return err
	case a.cli.JSON:
		return a.document(map[string]any{"v": 1, "access_key": k.ID, "secret_key": k.Secret})
	case c.Secret:
		_, err = fmt.Fprintln(a.stdout, k.Secret)
	default:
		_, err = fmt.Fprintf(a.stdout, "access key  %s\nsecret key  %s\n", k.ID, k.Secret)
	}
	return err
}

type keyCreateCmd struct {
	Role  string   `default:"readwrite" enum:"admin,readwrite,append,readonly,auditor" help:"admin, readwrite, append (put and read; no overwrite, no delete but of restic's own lock files), readonly or auditor."`
	Scope []string `placeholder:"BUCKET[/PREFIX]" help:"What the key is limited to: a bucket, or the keys that begin with PREFIX (no pattern; end a folder with /). May be given more than once."`
	Rate  int      `placeholder:"N" help:"Most entries a second that it may cause in the long run (a minute's worth at once); 0: not limited."`
}

func (c *keyCreateCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	k, err := s.Keys().Create(ctx, local, c.Role, c.Scope, c.Rate)
	if err != nil {
		return fmt.Errorf("couldn't make the key: %w", err)
	}
	if err := s.Close(); err != nil {
		return err
	}
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "access_key": k.ID, "secret_key": k.Secret, "role": k.Role, "scope": append([]string{}, k.Scope...), "rate": k.Rate})
	}
	fmt.Fprintf(a.stdout, "access key  %s\nsecret key  %s\nrole        %s\nscope       %s\nrate        %s\n", k.ID, k.Secret, k.Role, scopeText(k.Scope), rateText(k.Rate))
	a.note("the secret is not shown again")
	a.noteScope(k.Scope)
	return nil
}

// noteScope remarks on a scope that covers more than it seems to: a prefix ends where its user wrote, and not at the end of a folder's name.
func (a *app) noteScope(scope []string) {
	for _, s := range scope {
		if _, prefix, _ := strings.Cut(s, "/"); prefix != "" && !strings.HasSuffix(prefix, "/") {
			a.note("scope %s is a prefix: it covers %s2 and %s-old/x too. For a folder, end it with /", shown(s), shown(s), shown(s))
		}
	}
}

func scopeText(scope []string) string {
	if len(scope) == 0 {
		return "everything"
	}
	return shown(strings.Join(scope, " "))
}

func rateText(rate int) string {
	if rate == 0 {
		return "any"
	}
	return fmt.Sprintf("%d/s", rate)
}

type keyListCmd struct{}

type keyDoc struct {
	V         int      `json:"v"`
	AccessKey string   `json:"access_key"`
	Role      string   `json:"role"`
	Scope     []string `json:"scope"`
	Rate      int      `json:"rate"`
	Created   string   `json:"created"`
	CreatedBy string   `json:"created_by"`
	LastUsed  *string  `json:"last_used"` // since the server started; null: not used
	Revoked   bool     `json:"revoked"`
}

func (c *keyListCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openRead(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	keys, err := s.Keys().List(ctx)
	if err != nil {
		return err
	}
	if a.cli.JSON {
		for _, k := range keys {
			d := keyDoc{V: 1, AccessKey: k.ID, Role: k.Role, Rate: k.Rate, Scope: append([]string{}, k.Scope...), Created: moment(k.Created), CreatedBy: k.CreatedBy, Revoked: k.Revoked}
			if !k.LastUsed.IsZero() {
				used := moment(k.LastUsed)
				d.LastUsed = &used
			}
			if err := a.document(d); err != nil {
				return err
			}
		}
		return nil
	}
	if len(keys) == 0 {
		a.note("no access keys but the root key; `stele key create` makes one")
		return nil
	}
	t := a.table("ACCESS KEY", "ROLE", "SCOPE", "RATE", "CREATED", "BY", "LAST USED", "STATE")
	for _, k := range keys {
		state := "live"
		if k.Revoked {
			state = "revoked"
		}
		t.row(k.ID, k.Role, scopeText(k.Scope), rateText(k.Rate), moment(k.Created), who(k.CreatedBy), moment(k.LastUsed), state)
	}
	return t.end()
}

type keyRevokeCmd struct {
	AccessKey string `arg:"" name:"access-key" help:"The access key's id."`
}

func (c *keyRevokeCmd) Run(ctx context.Context, a *app) error {
	s, err := a.openWrite(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	done, err := s.Keys().Revoke(ctx, local, c.AccessKey)
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	if a.cli.JSON {
		return a.document(map[string]any{"v": 1, "access_key": c.AccessKey, "revoked": true, "entry": done.Entry})
	}
	a.say("revoked %s (entry %d)", c.AccessKey, done.Entry)
	return nil
}
