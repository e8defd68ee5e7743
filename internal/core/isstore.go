package core

import (
	"fmt"
	"strings"

	"stele/internal/engine"
	"stele/internal/pack"
	"stele/internal/segment"
)

// CheckIsStore says why a folder is no store that Open may open, and what to do about it. It never advises to remove anything: whoever reads the message is about to do what it says.
func (s *Store) CheckIsStore() error {
	if _, err := s.FS.Stat(s.Path(FileStandby)); err == nil {
		return fmt.Errorf("%w --data %s", ErrStandby, s.dir)
	}
	text, err := ReadFile(s.FS, s.Path(FileFormat))
	if err == nil {
		return s.checkFormat(string(text))
	}
	if !IsNotExist(err) {
		return fmt.Errorf("couldn't read %s: %w", s.Path(FileFormat), err)
	}
	names, err := s.FS.List(s.dir)
	switch {
	case IsNotExist(err):
		return fmt.Errorf("%w: %s does not exist. `stele init --data %s` makes a store there", ErrNotStore, s.dir, s.dir)
	case err != nil:
		return fmt.Errorf("couldn't read the folder %s: %w", s.dir, err)
	}
	left, err := s.remains()
	if err != nil {
		return err
	}
	if left.any() {
		return s.withoutFormat(left)
	}
	for _, n := range names {
		if n == FileIdentity {
			return fmt.Errorf("%w: making the store in %s was interrupted before it held anything. Name another folder with --data, or move this one away (mv %s %s.unfinished) and run init again", ErrNotStore, s.dir, quoted(s.dir), quoted(s.dir))
		}
	}
	return fmt.Errorf("%w: %s holds other files. Name a store's folder with --data, or an empty one for a new store", ErrNotStore, s.dir)
}

// remains is what lies in a folder that has no format file.
type remains struct {
	segments, packs, tails, keyrings int
	copied                           bool // it was begun as a copy: a restore, or a target
}

func (r remains) any() bool { return r.segments+r.packs+r.tails+r.keyrings > 0 }

// fresh says whether init may have made all of it: a keyring and the one file of the first entry.
func (r remains) fresh() bool { return r.packs == 0 && r.segments+r.tails <= 2 && r.keyrings <= 1 }

func (r remains) String() string {
	return fmt.Sprintf("segments: %d, packs: %d, unsealed files: %d, keyrings: %d", r.segments, r.packs, r.tails, r.keyrings)
}

// remains counts what only a store has, by name: a folder in which any of it lies is never called empty.
func (s *Store) remains() (r remains, err error) {
	for _, folder := range []string{engine.Segments, engine.Packs, engine.Keyrings, engine.Meta, "open/"} {
		names, lerr := s.FS.List(s.Path(strings.TrimSuffix(folder, "/")))
		if lerr != nil && !IsNotExist(lerr) && !s.isFile(strings.TrimSuffix(folder, "/")) {
			return r, fmt.Errorf("couldn't read the folder %s: %w", s.Path(folder), lerr)
		}
		for _, n := range names {
			_, _, isSegment := segment.ParseName(folder + n)
			_, isPack := pack.ParseName(folder + n)
			switch {
			case isSegment:
				r.segments++
			case isPack:
				r.packs++
			case folder == engine.Keyrings && engine.CheckName(folder+n) == nil:
				r.keyrings++
			case folder == engine.Meta && strings.HasPrefix(n, "store-"):
				r.copied = true
			case folder == "open/":
				r.tails++
			}
		}
	}
	return r, nil
}

func (s *Store) isFile(name string) bool {
	info, err := s.FS.Stat(s.Path(name))
	return err == nil && !info.IsDir()
}

// withoutFormat is the advice for a folder that holds a store's files and no format file. The file is not made again by itself, whatever the other files prove: it is the mark that a store was
// finished (init writes its recovery kit just before it) and in which format, and neither can be told from the rest. Writing it is one line, for someone who knows the folder's history.
func (s *Store) withoutFormat(left remains) error {
	if left.copied {
		return fmt.Errorf("%w: %s holds an unfinished copy of a store (%s): %s is missing. Run the command that began it once more (stele restore FROM, or stele serve --from): it goes on where it stopped", ErrNotStore, s.dir, left, s.Path(FileFormat))
	}
	put := fmt.Sprintf("mkdir -p %s && printf 'stele store, format 0\\n' > %s", quoted(s.Path(strings.TrimSuffix(engine.Meta, "/"))), quoted(s.Path(FileFormat)))
	if left.fresh() {
		return fmt.Errorf("%w: %s is missing, beside files of a store (%s). Either making the store was interrupted here, and nothing was ever stored: then name another folder with --data. Or the file was lost: then put it back with: %s", ErrNotStore, s.Path(FileFormat), left, put)
	}
	return fmt.Errorf("%w: %s is missing, and all else of a store may be there (%s). Keep the folder. Put the file back with: %s", ErrNotStore, s.Path(FileFormat), left, put)
}

// quoted writes a path as a shell takes it.
func quoted(path string) string {
	if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// checkFormat refuses what a newer program made, and what none did.
func (s *Store) checkFormat(text string) error {
	var version int
	_, err := fmt.Sscanf(text, "stele store, format %d\n", &version)
	switch {
	case text == FormatText:
		return nil
	case err == nil && version > 0 && text == fmt.Sprintf("stele store, format %d\n", version):
		return fmt.Errorf("%w: %s has format %d, this program reads up to 0. Open it with a newer Stele", ErrVersion, s.dir, version)
	}
	return fmt.Errorf("%w: %s is not what a store was made with. Copy it back, or write it anew with: printf 'stele store, format 0\\n' > %s", ErrCorrupt, s.Path(FileFormat), quoted(s.Path(FileFormat)))
}
