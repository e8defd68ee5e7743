package admin

import (
	"net"
	"os/user"
	"strings"
	"sync"

	"stele"
)

// ThisUser is the actor of what this process does on the command line.
func ThisUser() stele.Actor {
	u, err := user.Current()
	if err != nil {
		return stele.Local() // no user of this system: a change is still the command line's
	}
	return stele.LocalUser(u.Uid, u.Username)
}

// Accept waits for the next connection. What its other end is, as the kernel says, stands in its remote address: a process cannot give another one.
func (s *Socket) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return c, nil
	}
	uid, ok := peerUID(u)
	if !ok {
		return c, nil
	}
	return &peerConn{u, peerAddr(peerMark + uid)}, nil
}

// peerMark begins the address of a peer whose user is known. No address of a network looks so.
const peerMark = "uid="

type peerAddr string

func (peerAddr) Network() string  { return "unix" }
func (a peerAddr) String() string { return string(a) }

// peerConn is a connection of the socket that knows its peer.
type peerConn struct {
	*net.UnixConn
	from peerAddr
}

func (c *peerConn) RemoteAddr() net.Addr { return c.from }

// names are the users that have connected, by uid: the socket's mode lets in its owner and the superuser only, so they are few. Asking the system may mean asking the network.
var names sync.Map

// localPeer is the actor behind a connection of the socket.
func localPeer(remote string) stele.Actor {
	uid, ok := strings.CutPrefix(remote, peerMark)
	if !ok {
		return stele.Local()
	}
	if name, ok := names.Load(uid); ok {
		return stele.LocalUser(uid, name.(string))
	}
	name := ""
	if u, err := user.LookupId(uid); err == nil { // a user without a name is named by its number
		name = u.Username
	}
	names.Store(uid, name)
	return stele.LocalUser(uid, name)
}
