package s3api

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"stele"
	"stele/entry"
	"stele/internal/s3api/auth"
	"stele/internal/s3api/policy"
	"stele/internal/s3api/s3err"
	"stele/internal/s3api/wire"
)

// callKey finds the call in its context, so that looking up the secret and looking up the key's role is one look.
type callKey struct{}

// claim is the access key that a request names. Until its signature was found right it acts for nobody; setActor makes it the call's key.
type claim struct {
	id  string // also of a key that does not exist
	key entry.AccessKey
}

// secret is the verifier's way to a key's secret.
func (s *server) secret(ctx context.Context, id string) (string, error) {
	c, _ := ctx.Value(callKey{}).(*call)
	if c != nil {
		c.claim = claim{id: id}
	}
	k, err := s.store.Keys().Get(ctx, id)
	if errors.Is(err, stele.ErrNoAccessKey) {
		return "", auth.ErrUnknownKey
	}
	if err != nil {
		return "", err
	}
	if c != nil {
		c.claim.key = k
	}
	return k.Secret, nil
}

// identify finds out who asks.
func (c *call) identify() (err error) {
	c.by = stele.Actor{Address: clientAddress(c.r), Request: c.id}
	c.auth, err = c.verifier.Verify(context.WithValue(c.ctx, callKey{}, c), c.r, &c.q.Target)
	if err != nil {
		return err
	}
	c.setActor()
	if c.auth.Kind != auth.ByQuery {
		return nil
	}
	h, err := auth.Unhoist(c.r.Header, c.q.Query)
	if err != nil {
		return err
	}
	asSent := *c.r
	asSent.Header = h
	c.r = &asSent
	return nil
}

// setActor takes the believed key as the one that acts. An anonymous request acts without one.
func (c *call) setActor() {
	if c.auth.Kind == auth.Anonymous {
		c.by.Key = anonymousActor
		return
	}
	c.key = c.claim.key
	c.store.Keys().Used(c.key.ID)
	c.by.Key = c.key.ID
	c.by.NoOverwrite = Role(c.key.Role).MustNotOverwrite()
}

const anonymousActor = "" // the ledger's word for nobody

// openBucket finds the bucket that the request is about, and as of when.
func (c *call) openBucket() (err error) {
	if c.q.Bucket == "" {
		return nil
	}
	if c.q.Op == OpCreateBucket {
		c.name = c.q.Bucket // there is none yet
		if strings.Contains(c.name, viewMark) {
			return notAName(c.name)
		}
		return nil
	}
	if c.name, c.at, err = c.viewOf(c.q.Bucket); err != nil {
		c.name = ofView(c.q.Bucket)
		return err
	}
	if !c.at.Now() && c.q.Op.Writes() {
		// Not MethodNotAllowed: mc takes that for "the bucket exists already".
		return s3err.ErrAccessDenied.Msg("The bucket %s shows %s as it was and cannot be changed. Write to %s instead; what is copied from here is a new version there.", c.q.Bucket, c.name, c.name).
			With("ResourceType", "VIEW")
	}
	if c.b, err = c.store.Bucket(c.ctx, c.name, c.at); err != nil {
		return err
	}
	if err := checkVersionID(c.q.VersionID); err != nil {
		return err
	}
	return checkOwner(wire.First(c.r.Header, "X-Amz-Expected-Bucket-Owner"), &c.b)
}

// unlessDenied returns why a bucket could not be opened as the request names it: that it is not there, that there is no such view, version or owner. Who would be denied if all that were there is denied, and told
// nothing else: or whoever has no right to a name, or no key at all, could find out which names are taken, since when, which views are pinned and how many entries the ledger has. A bucket that is
// not there, or not in that view, has no policy: role and scope decide.
func (c *call) unlessDenied(err error, judge func() error) error {
	if c.b.Inc == 0 || errors.Is(err, stele.ErrNoBucket) {
		if !errors.Is(err, stele.ErrNoBucket) && !errors.As(err, new(*s3err.Error)) {
			return err // the store's own failure
		}
		c.b, c.at = stele.Bucket{}, stele.View{}
	}
	if denied := judge(); denied != nil {
		return denied
	}
	return err
}

// checkVersionID refuses what can be nobody's version id, as AWS does; what could be one and is not is NoSuchVersion.
func checkVersionID(id string) error {
	if id == "" || id == "null" {
		return nil
	}
	ok := len(id) >= minVersionID && len(id) <= 1024
	for i := 0; i < len(id) && ok; i++ {
		ch := id[i]
		ok = 'a' <= ch && ch <= 'z' || 'A' <= ch && ch <= 'Z' || '0' <= ch && ch <= '9' || ch == '.' || ch == '-'
	}
	if !ok {
		return s3err.InvalidArgument("versionId", id, "Invalid version id specified")
	}
	return nil
}

// minVersionID is how long ids of versions are at least, here and elsewhere.
const minVersionID = 20

// checkOwner holds a bucket to the owner that the client expects: its access key or the store's one account.
func checkOwner(want string, b *stele.Bucket) error {
	if want != "" && want != policy.AccountID && want != b.Owner {
		return s3err.ErrAccessDenied
	}
	return nil
}

// viewOf splits NAME--at-… into the bucket's name and the view.
func (c *call) viewOf(bucket string) (string, stele.View, error) {
	if !strings.Contains(bucket, viewMark) {
		return bucket, stele.View{}, nil
	}
	name, at, err := c.store.ParseBucket(c.ctx, bucket)
	switch {
	case errors.Is(err, stele.ErrFuture):
		return "", at, s3err.InvalidArgument("bucket", bucket, "That moment is in the future: a view shows the past.")
	case errors.Is(err, stele.ErrBeforeStore):
		return "", at, s3err.InvalidArgument("bucket", bucket, "The store did not exist yet at that moment: name a later one.")
	case errors.Is(err, stele.ErrBadMoment):
		return "", at, s3err.InvalidArgument("bucket", bucket, "There is no such date or time of day. Write NAME--at-20261120t100000z, NAME--at-e123456 or NAME--at-VIEW.")
	case errors.Is(err, stele.ErrBadName):
		return "", at, s3err.InvalidArgument("bucket", bucket, "%v. Write NAME--at-20261120t100000z, NAME--at-e123456 or NAME--at-VIEW.", err)
	case err != nil:
		return "", at, err
	case at.Now():
		return "", at, notAName(bucket)
	}
	return name, at, nil
}

// viewMark stands in the names of views and of nothing else.
const viewMark = "--at-"

// ofView is the name of the bucket that NAME--at-… shows, whether or not there is such a view; another name is returned as it is.
func ofView(name string) string {
	if i := strings.LastIndex(name, viewMark); i >= 0 {
		return name[:i]
	}
	return name
}

func notAName(bucket string) *s3err.Error {
	return s3err.ErrInvalidBucketName.Msg("A bucket's name must not hold %s, which names a view of the past.", viewMark).With("BucketName", bucket)
}

// authorize asks whether the caller may do what the request says. DeleteObjects and PostObject ask for each key besides, once they know it.
func (c *call) authorize() error {
	switch c.q.Op {
	case OpPostObject:
		return nil
	case OpDeleteObjects:
		return c.mayDeleteSome()
	case OpListBuckets:
		if c.auth.Kind == auth.Anonymous {
			return s3err.ErrAccessDenied
		}
	}
	if err := anonymousRefusals[c.q.Op]; err != nil && c.auth.Kind == auth.Anonymous {
		return err
	}
	if err := c.require(&c.b, c.name, c.at, c.q.Action(), c.q.Subject()); err != nil {
		return err
	}
	if c.auth.Kind == auth.Anonymous && policyActions[c.q.Action()] {
		return s3err.MethodNotAllowed(c.r.Method, "BUCKETPOLICY") // whoever may read or change who may do what has a name
	}
	return nil
}

// anonymousRefusals are what AWS lets nobody do without a signature, whatever the policy says, in its words.
var anonymousRefusals = map[Op]*s3err.Error{
	OpCreateBucket: s3err.ErrAnonymous, OpPutBucketAcl: s3err.ErrAnonymous, OpPutObjectAcl: s3err.ErrAnonymous, OpSelectObjectContent: s3err.ErrAnonymous,
	OpCreateMultipartUpload:         s3err.ErrAnonymous.Msg("Anonymous users cannot initiate multipart uploads. Please authenticate."),
	OpCopyObject:                    s3err.ErrAnonymous.Msg("Anonymous users cannot copy objects. Please authenticate."),
	OpPutBucketOwnershipControls:    s3err.ErrAnonymous.Msg("s3:PutBucketOwnershipControls does not support Anonymous requests!"),
	OpDeleteBucketOwnershipControls: s3err.ErrAnonymous.Msg("s3:PutBucketOwnershipControls does not support Anonymous requests!"),
	OpGetBucketOwnershipControls:    s3err.ErrAnonymous.Msg("s3:GetBucketOwnershipControls does not support Anonymous requests!"),
}

// require refuses unless the caller may carry out action on a bucket, as of a view, and on a key or, for listings, a prefix.
// What the past shows is guarded by what holds today: whoever may list and read versions of that incarnation now.
func (c *call) require(b *stele.Bucket, name string, at stele.View, action, key string) error {
	return c.requires(&subject{b: b, name: name, at: at, key: key, version: c.q.VersionID}, action)
}

func (c *call) requires(s *subject, action string) error {
	if !s.at.Now() {
		now, err := c.store.Bucket(c.ctx, s.name, stele.View{})
		alive := err == nil && now.Inc == s.b.Inc
		if err != nil && !errors.Is(err, stele.ErrNoBucket) {
			return err
		}
		if !alive {
			return c.requiresOfDeleted(s, &now, action)
		}
		today := *s
		today.b = &now
		s = &today
		var current string
		if current, action = viewActions(action); c.says(s, current) == policy.Denies { // who sees the past of an object sees the object
			return s3err.ErrAccessDenied
		}
	}
	if !c.may(s, action) {
		return c.denied(action)
	}
	return nil
}

// requiresOfDeleted guards the past of an incarnation that was deleted since. Role and scope are about the bucket's name and hold on; the policy is the last one that this
// incarnation had. So whoever could read it when it ended reads on, and can look at what a thief has done. Whom its policy shut out stays out, though he may have deleted
// it himself and made the name anew. Nobody without a key reads on: a bucket that was open to everybody is not, once it is gone.
// now is the bucket of that name today, whose policy may let others in; one without a name: there is none.
func (c *call) requiresOfDeleted(s *subject, now *stele.Bucket, action string) error {
	if c.key.ID == "" {
		return s3err.ErrAccessDenied
	}
	then, today := *s, *s
	current, past := viewActions(action)
	if role := Role(c.key.Role); (role == Admin || role == Auditor) && c.byRole(past, s.name, s.key) {
		return nil // or a thief's last policy would shut everybody out for good
	}
	last, err := c.store.LastOf(c.ctx, s.name, s.b.Inc)
	if err != nil {
		return err
	}
	then.b, today.b = &last, now
	shutOut := c.says(&then, current) == policy.Denies || c.says(&then, past) == policy.Denies
	if shutOut || !c.may(&then, past) && c.says(&today, past) != policy.Allows {
		return s3err.ErrAccessDenied.Msg("The bucket %s that this view shows was deleted since. Its past is for keys that could read its versions when it ended, and for the roles admin and auditor.", s.name)
	}
	return nil
}

// denied is the refusal of an action. Where a user would look for a fault it says what the role is for.
func (c *call) denied(action string) *s3err.Error {
	if Role(c.key.Role) == Append && (action == "s3:DeleteObject" || action == "s3:DeleteObjectVersion") {
		return errAppendDeletes
	}
	return s3err.ErrAccessDenied
}

var errAppendDeletes = s3err.ErrAccessDenied.Msg("This access key has the role append: it adds and reads. It may delete nothing but restic's lock files (locks/ID) that it wrote itself.")

// viewActions are the two actions that looking at the past is: on what is current, and on versions. The role or a policy must allow the second, and today's policy must
// deny neither.
func viewActions(action string) (current, version string) {
	for _, pair := range [...][2]string{
		{"s3:GetObject", "s3:GetObjectVersion"}, {"s3:ListBucket", "s3:ListBucketVersions"}, {"s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"},
		{"s3:GetObjectTagging", "s3:GetObjectVersionTagging"}, {"s3:GetObjectAcl", "s3:GetObjectVersionAcl"},
	} {
		if action == pair[0] || action == pair[1] {
			return pair[0], pair[1]
		}
	}
	return action, action
}

// may is the whole decision: an explicit deny of the policy beats its allow, which adds to what the key's role allows.
func (c *call) may(s *subject, action string) bool {
	byRole := c.byRole(action, s.name, s.key)
	switch c.says(s, action) {
	case policy.Denies:
		return false
	case policy.Allows:
		return true
	}
	return byRole
}

// byRole is what the key may do by its role within its scope.
func (c *call) byRole(action, name, key string) bool {
	if c.q.Op == OpHeadBucket && (action == "s3:ListBucket" || action == "s3:ListBucketVersions") { // the second: of a view
		action = "s3:GetBucketLocation" // the reply names no key: whoever has a part of the bucket may know that it is there
	}
	return c.key.ID != "" && Allowed(Role(c.key.Role), c.key.Scope, action, name, key)
}

// policySays evaluates the bucket's policy.
func (c *call) policySays(b *stele.Bucket, name, action, key string) policy.Decision {
	return c.says(&subject{b: b, name: name, at: c.at, key: key, version: c.q.VersionID}, action)
}

// says evaluates the policy of the subject's bucket. It never denies an admin the policy itself, or a mistake in it could not be mended.
func (c *call) says(s *subject, action string) policy.Decision {
	mends := Role(c.key.Role) == Admin && policyActions[action]
	d, err := c.evaluate(s, action)
	switch {
	case err != nil:
		c.repeats.Line(slog.LevelError, "policy", "a bucket's policy cannot be judged, so it denies everything", "bucket", s.name, "err", err)
		d = policy.Denies
	case d == policy.Allows && c.key.ID == "" && c.restrictsPublic(s.b):
		return policy.NoDecision
	}
	if d == policy.Denies && mends {
		return policy.NoDecision
	}
	return d
}

func (c *call) evaluate(s *subject, action string) (policy.Decision, error) {
	p, err := c.policyOf(s.b, s.name)
	if err != nil || p == nil {
		return policy.NoDecision, err
	}
	if policy.LevelOf(action) != policy.OnObject {
		about := *s
		about.key = ""
		s = &about
	}
	ctx, err := c.context(s, action, p)
	if err != nil {
		return policy.NoDecision, err
	}
	open := func(key string) bool { return policy.Applies(key, action) && c.isOpen(key) }
	return p.Evaluate(&policy.Ask{Principal: c.key.ID, Action: action, Bucket: s.name, Key: s.key, Context: ctx, Open: open}), nil
}

// policyOf is the bucket's policy; nil: it has none.
func (c *call) policyOf(b *stele.Bucket, name string) (*policy.Policy, error) {
	text := b.Settings[stele.SettingPolicy]
	if text == "" {
		return nil, nil
	}
	return c.policies.get(name+"\x00"+text, func([]byte) (*policy.Policy, error) {
		return policy.Parse([]byte(text), policy.Rules{Bucket: name, Stored: true})
	})
}

var policyActions = wire.Words(`s3:GetBucketPolicy s3:PutBucketPolicy s3:DeleteBucketPolicy`)

// restrictsPublic tells whether the bucket's public access block shuts anonymous callers out, whatever its policy says.
func (c *call) restrictsPublic(b *stele.Bucket) bool {
	text := b.Settings[stele.SettingPublic]
	if text == "" {
		return false
	}
	p, err := DecodePublicAccessBlock([]byte(text))
	return err != nil || p.RestrictPublicBuckets
}

// mayAlso asks for an action that a header of a permitted write implies: tags and locks of what is being written. They add and never weaken, so
// the role that may write may set them; the policy may still deny them, and anonymous callers need its allow.
func (c *call) mayAlso(action string) error {
	d := c.policySays(&c.b, c.name, action, c.q.Key)
	if d == policy.Denies || d == policy.NoDecision && c.key.ID == "" {
		return s3err.ErrAccessDenied
	}
	return nil
}

// actor is who acts on a key, with the permission to bypass GOVERNANCE if it is asked for and granted.
func (c *call) actor(s *subject) stele.Actor {
	by := c.by
	by.Bypass = BypassGovernance(c.r.Header) && c.may(s, "s3:BypassGovernanceRetention")
	return by
}

// ownerOf is a bucket's owner as S3 shows it.
func ownerOf(b *stele.Bucket) Owner { return Owner{ID: b.Owner, DisplayName: b.Owner} }
