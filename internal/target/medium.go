package target

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// machine is where this package looks for what lies where. Tests put a folder of their own in the place of / and a function of their own in that of stat.
type machine struct {
	root  string // of proc and sys
	stat  func(path string) (device string, fsType int64, err error)
	addrs func() ([]net.Addr, error)          // of this machine
	names func(host string) ([]net.IP, error) // nil: names are not asked for
}

func thisMachine() machine {
	return machine{root: "/", stat: statPath, addrs: net.InterfaceAddrs, names: net.LookupIP}
}

// medium is what a folder lies on in the end.
type medium struct {
	volatile bool     // it is gone at a restart of the machine
	disks    []string // whole disks, or a server's name; sorted. None: it can't be told
}

// File systems by their type (linux/magic.h).
const (
	tmpfs   = 0x01021994
	ramfs   = 0x858458f6
	overlay = 0x794c7630
)

var networkTypes = []int64{0x6969, 0xff534d42, 0xfe534d42, 0x517b, 0x00c36400, 0x5346414f, 0x0bd00bd0} // nfs, cifs, smb2, smb, ceph, afs, lustre

// networkFuse are programs whose file systems lie on a server. What lies behind another one, nobody can tell: it may be a folder of this very disk.
var networkFuse = []string{"fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.geesefs", "fuse.glusterfs", "fuse.ceph-fuse", "fuse.juicefs"}

// deepest bounds how many layers are followed: a loop device on a volume on an array is three.
const deepest = 16

// mediumOf follows a folder through mounts, loop devices, volumes and arrays down to disks.
func (m machine) mediumOf(path string, depth int) medium {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	device, fsType, err := m.stat(path)
	if err != nil || depth > deepest {
		return medium{}
	}
	if fsType == tmpfs || fsType == ramfs {
		return medium{volatile: true, disks: []string{"memory"}}
	}
	if fsType == overlay { // a container's own layer: its disk has a name outside of the container only
		return medium{}
	}
	on := m.mountOf(path)
	if slices.Contains(networkTypes, fsType) || slices.Contains(networkFuse, on.fsType) {
		return m.server(on.source)
	}
	if strings.HasPrefix(device, "device ") { // a system that tells no more
		return medium{disks: []string{device}}
	}
	if at, err := filepath.EvalSymlinks(filepath.Join(m.root, "sys/dev/block", device)); err == nil {
		return m.disksOf(at, depth+1)
	}
	switch { // file systems over several disks have a device number that is no disk's
	case on.fsType == "zfs": // the pool's disks can't be told here
		pool, _, _ := strings.Cut(on.source, "/")
		return medium{disks: []string{"zfs pool " + pool}}
	case strings.HasPrefix(on.source, "/dev/"):
		return m.disksOfSource(on.source, depth+1)
	}
	return medium{}
}

// server is the medium of a network mount: who serves it. One that this machine serves to itself lies on disks that can't be told.
func (m machine) server(source string) medium {
	host := strings.TrimPrefix(source, "//")
	if i := strings.IndexAny(host, "/@"); i >= 0 && host[i] == '@' { // sshfs: user@host:path
		host = host[i+1:]
	}
	if strings.HasPrefix(host, "[") {
		host, _, _ = strings.Cut(host[1:], "]")
	} else {
		host, _, _ = strings.Cut(host, ":")
		host, _, _ = strings.Cut(host, "/")
	}
	if host == "" || m.local(host) {
		return medium{}
	}
	return medium{disks: []string{"server " + strings.ToLower(host)}}
}

// disksOf follows a block device, a folder of sys/devices, down to disks.
func (m machine) disksOf(at string, depth int) medium {
	if depth > deepest {
		return medium{}
	}
	if _, err := os.Stat(filepath.Join(at, "partition")); err == nil {
		at = filepath.Dir(at) // the partitions of a disk die together
	}
	if b, err := os.ReadFile(filepath.Join(at, "loop/backing_file")); err == nil {
		return m.mediumOf(strings.TrimSuffix(string(b), "\n"), depth+1)
	}
	below, err := os.ReadDir(filepath.Join(at, "slaves"))
	if err == nil && len(below) > 0 {
		var all []medium
		for _, b := range below {
			down := medium{}
			if to, err := filepath.EvalSymlinks(filepath.Join(at, "slaves", b.Name())); err == nil {
				down = m.disksOf(to, depth+1)
			}
			all = append(all, down)
		}
		return together(all)
	}
	name := filepath.Base(at)
	inMemory := strings.HasPrefix(name, "ram") || strings.HasPrefix(name, "zram")
	if strings.HasPrefix(name, "loop") { // its file is not told
		return medium{}
	}
	return medium{volatile: inMemory, disks: []string{name}}
}

// together is what lies on several media at once: it needs all of them. If one can't be told, it can't.
func together(all []medium) (sum medium) {
	for _, one := range all {
		sum.volatile = sum.volatile || one.volatile
		if len(one.disks) == 0 {
			return medium{volatile: sum.volatile}
		}
		sum.disks = append(sum.disks, one.disks...)
	}
	slices.Sort(sum.disks)
	sum.disks = slices.Compact(sum.disks)
	return sum
}

// disksOfSource follows the device that a mount names, with the others of the same btrfs.
func (m machine) disksOfSource(source string, depth int) medium {
	name := filepath.Base(source)
	class := filepath.Join(m.root, "sys/class/block")
	if strings.HasPrefix(source, "/dev/mapper/") {
		names, _ := filepath.Glob(filepath.Join(class, "*/dm/name")) // errors are of the pattern only
		for _, n := range names {
			if b, err := os.ReadFile(n); err == nil && strings.TrimSpace(string(b)) == name {
				name = filepath.Base(filepath.Dir(filepath.Dir(n)))
			}
		}
	}
	devices := []string{filepath.Join(class, name)}
	groups, _ := filepath.Glob(filepath.Join(m.root, "sys/fs/btrfs/*/devices"))
	for _, g := range groups {
		if _, err := os.Lstat(filepath.Join(g, name)); err == nil {
			devices, _ = filepath.Glob(filepath.Join(g, "*"))
		}
	}
	var all []medium
	for _, d := range devices {
		one := medium{}
		if at, err := filepath.EvalSymlinks(d); err == nil {
			one = m.disksOf(at, depth)
		}
		all = append(all, one)
	}
	return together(all)
}

type mount struct{ fsType, source string }

// mountOf is the mount that a path lies in; the newest, where one lies over another.
func (m machine) mountOf(path string) (on mount) {
	b, err := os.ReadFile(filepath.Join(m.root, "proc/self/mountinfo"))
	if err != nil {
		return on
	}
	longest := -1
	for line := range strings.Lines(string(b)) { // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw (proc_pid_mountinfo(5))
		left, right, ok := strings.Cut(line, " - ")
		at, of := strings.Fields(left), strings.Fields(right)
		if !ok || len(at) < 5 || len(of) < 2 {
			continue
		}
		point := unescape.Replace(at[4])
		within := point == "/" || path == point || strings.HasPrefix(path, point+"/")
		if within && len(point) >= longest {
			longest, on = len(point), mount{of[0], unescape.Replace(of[1])}
		}
	}
	return on
}

// unescape undoes what the kernel escapes in mountinfo.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// local says whether a host is this machine.
func (m machine) local(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	var ips []net.IP
	if ip := net.ParseIP(host); ip != nil {
		ips = []net.IP{ip}
	} else if m.names != nil {
		ips, _ = m.names(host) // a name that nobody knows now is reached by nobody either
	}
	own, _ := m.addrs() // without them loopback is all that is recognized
	return slices.ContainsFunc(ips, func(ip net.IP) bool {
		return ip.IsLoopback() || ip.IsUnspecified() || slices.ContainsFunc(own, func(a net.Addr) bool {
			n, ok := a.(*net.IPNet)
			return ok && n.IP.Equal(ip)
		})
	})
}

// noCopy says why a folder is no copy of the store that can count; empty: it is one. declared: somebody says that it lies at another site, which is taken where nothing proves otherwise.
func noCopy(store, target medium, declared bool) string {
	switch {
	case target.volatile:
		return "on a RAM disk: no copy"
	case len(target.disks) > 0 && slices.ContainsFunc(target.disks, func(d string) bool { return slices.Contains(store.disks, d) }):
		return "on the store's own disk: no copy"
	case declared:
		return ""
	case len(target.disks) == 0:
		return "on a disk that can't be told, perhaps the store's own: no copy unless it is declared to be elsewhere (--offsite)"
	case len(store.disks) == 0:
		return "the store lies on a disk that can't be told, perhaps this one: no copy unless it is declared to be elsewhere (--offsite)"
	}
	return ""
}

// serverMedium is the medium of a bucket: its server. AWS spreads a bucket over buildings, so that two buckets of one region are not taken for one medium.
func (m machine) serverMedium(endpoint, bucket string, declared bool) (disks []string, why string) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" || strings.HasSuffix(u.Hostname(), ".amazonaws.com") {
		return []string{"bucket " + bucket}, ""
	}
	if m.local(u.Hostname()) && !declared {
		return nil, "same machine: no copy unless it is declared to be elsewhere (--offsite)"
	}
	return []string{"server " + strings.ToLower(u.Host)}, ""
}
