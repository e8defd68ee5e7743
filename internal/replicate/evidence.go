package replicate

import "context"

// evidence is how many entries of former epochs a target holds past where the next epoch began: whoever was promoted never got them, or cut them off, and the store goes on without. Of several epochs
// their sum. It opens at most one file for each former epoch; one that can't be read, or is none, holds up nothing.
func (s *session) evidence(ctx context.Context, links []link) (n uint64) {
	last := map[uint32]*link{} // the sealed segment of each former epoch that begins last: where it ends is in its footer
	ends := map[uint32]uint64{}
	for i := range links {
		l := &links[i]
		switch was := last[l.epoch]; {
		case l.epoch >= s.o.Keys.Epoch:
		case !l.sealed:
			ends[l.epoch] = max(ends[l.epoch], l.end)
		case was == nil || l.first > was.first:
			last[l.epoch] = l
		}
	}
	for epoch, l := range last {
		end, err := (&Source{target: s.target}).endOf(ctx, l)
		if err != nil {
			continue
		}
		ends[epoch] = max(ends[epoch], end)
	}
	for epoch, end := range ends {
		if cut, ok := s.o.Keys.EndOf(epoch); ok && end > cut {
			n += end - cut
		}
	}
	return n
}
