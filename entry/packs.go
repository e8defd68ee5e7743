package entry

// ExpectedPack returns the pack that must be there, with these bytes, from this entry on; false: the entry says nothing of that. It is the one answer to which packs ought to exist: the rows of the index
// (core.ExpectedPacks: heal, scrub, filling), a restore, a verification, and the judgement of a standby all fold it.
func (e *Entry) ExpectedPack() (Pack, bool) { return e.Private.ExpectedPack(e.Type) }

// ExpectedPack is that of the entry of a type with this private part.
func (p *Private) ExpectedPack(t Type) (Pack, bool) {
	if t != PackSeal || p.Pack == nil {
		return Pack{}, false
	}
	return *p.Pack, true
}
