package entry

import "encoding/base64"

// MaxSecret is the most bytes of Private.Secret.
const MaxSecret = 2048

// secret checks the form of a sealed secret: base64 as it is written, with padding. Whether it opens, only who holds the store's keys can say.
func (c *check) secret(p *Private) {
	c.text("secret", p.Secret)
	if len(p.Secret) > MaxSecret {
		c.fail("secret of %d bytes, the limit is %d", len(p.Secret), MaxSecret)
	}
	if b, err := base64.StdEncoding.DecodeString(p.Secret); err != nil || base64.StdEncoding.EncodeToString(b) != p.Secret {
		c.fail("a secret is sealed, and written in base64")
	}
	if p.Access != nil && p.Access.Secret != "" {
		c.fail("the secret of an access key is written in the entry's own field, sealed, and no longer within access")
	}
}
