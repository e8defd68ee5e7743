package target

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakeMachine has two disks (sda, with two partitions, and sdb), a volume on sda, an array over both, loop devices, a btrfs over sdb and sdc, and mounts of many kinds.
func fakeMachine(t *testing.T) machine {
	t.Helper()
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		at := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o700), os.WriteFile(at, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	link := func(name, to string) {
		t.Helper()
		at := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o700), os.Symlink(filepath.Join(root, to), at)); err != nil {
			t.Fatal(err)
		}
	}
	device := func(number, at string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(root, "sys/devices", at), 0o700); err != nil {
			t.Fatal(err)
		}
		link("sys/dev/block/"+number, "sys/devices/"+at)
		link("sys/class/block/"+filepath.Base(at), "sys/devices/"+at)
	}
	device("8:0", "pci/block/sda")
	device("8:1", "pci/block/sda/sda1")
	device("8:2", "pci/block/sda/sda2")
	device("8:16", "pci/block/sdb")
	device("8:32", "pci/block/sdc")
	write("sys/devices/pci/block/sda/sda1/partition", "1\n")
	write("sys/devices/pci/block/sda/sda2/partition", "2\n")
	device("253:0", "virtual/block/dm-0")
	write("sys/devices/virtual/block/dm-0/dm/name", "vg-data\n")
	link("sys/devices/virtual/block/dm-0/slaves/sda2", "sys/devices/pci/block/sda/sda2")
	device("9:0", "virtual/block/md0")
	link("sys/devices/virtual/block/md0/slaves/sda2", "sys/devices/pci/block/sda/sda2")
	link("sys/devices/virtual/block/md0/slaves/sdb", "sys/devices/pci/block/sdb")
	for number, file := range map[string]string{"0": "/data/image", "1": "/ram/image", "2": "/loop0/image", "3": "/loop3/image"} {
		device("7:"+number, "virtual/block/loop"+number)
		write("sys/devices/virtual/block/loop"+number+"/loop/backing_file", file+"\n")
	}
	device("252:0", "virtual/block/zram0")
	link("sys/fs/btrfs/u-u-i-d/devices/sdb", "sys/devices/pci/block/sdb")
	link("sys/fs/btrfs/u-u-i-d/devices/sdc", "sys/devices/pci/block/sdc")
	write("proc/self/mountinfo", strings.Join([]string{
		"1 0 8:1 / / rw - ext4 /dev/sda1 rw",
		"2 1 0:40 / /nas rw shared:3 - nfs4 nas:/export rw",
		"3 1 0:41 / /nas2 rw - cifs //NAS/share rw",
		"4 1 0:42 / /self rw - nfs4 127.0.0.1:/export rw",
		"5 1 0:43 / /ssh rw - fuse.sshfs me@vault:/backup rw",
		"6 1 0:44 / /union rw - fuse.mergerfs a:b rw",
		"7 1 0:45 /sub /butter\\040fly rw - btrfs /dev/sdb rw",
		"8 1 0:46 / /pool rw - zfs tank/data rw",
		"9 1 0:47 / /mapped rw - btrfs /dev/mapper/vg-data rw", ""}, "\n"))
	places := []struct {
		prefix, device string
		fsType         int64
	}{
		{"/data", "8:1", 0xef53}, {"/bind", "8:1", 0xef53}, {"/other", "8:16", 0xef53}, {"/lvm", "253:0", 0x58465342}, {"/md", "9:0", 0xef53},
		{"/ram2", "0:31", ramfs}, {"/ram", "0:30", tmpfs}, {"/zram", "252:0", 0xef53}, {"/layer", "0:50", overlay},
		{"/loop0", "7:0", 0xef53}, {"/loop1", "7:1", 0xef53}, {"/loop2", "7:2", 0xef53}, {"/loop3", "7:3", 0xef53},
		{"/nas2", "0:41", 0xff534d42}, {"/nas", "0:40", 0x6969}, {"/self", "0:42", 0x6969}, {"/ssh", "0:43", 0x65735546}, {"/union", "0:44", 0x65735546},
		{"/butter fly", "0:99", 0x9123683e}, {"/pool", "0:46", 0x2fc12fc1}, {"/mapped", "0:47", 0x9123683e},
	}
	stat := func(path string) (string, int64, error) {
		for _, p := range places {
			if strings.HasPrefix(path, p.prefix) {
				return p.device, p.fsType, nil
			}
		}
		return "", 0, os.ErrNotExist
	}
	own := func() ([]net.Addr, error) { return []net.Addr{&net.IPNet{IP: net.IPv4(192, 168, 1, 7)}}, nil }
	return machine{root: root, stat: stat, addrs: own, names: func(host string) ([]net.IP, error) {
		if host == "thishost" {
			return []net.IP{net.IPv4(192, 168, 1, 7)}, nil
		}
		return nil, errors.New("no such host")
	}}
}

// TestMedium: what a folder lies on is followed down to whole disks and servers.
func TestMedium(t *testing.T) {
	m := fakeMachine(t)
	for path, want := range map[string]string{
		"/data/store": "sda", "/bind/copy": "sda", "/other/copy": "sdb", "/lvm/copy": "sda", "/md/copy": "sda sdb",
		"/ram/copy": "volatile memory", "/ram2/copy": "volatile memory", "/zram/copy": "volatile zram0", "/layer/copy": "",
		"/loop0/copy": "sda", "/loop1/copy": "volatile memory", "/loop2/copy": "sda", "/loop3/copy": "", // the last lies in itself
		"/nas/copy": "server nas", "/nas2/copy": "server nas", "/self/copy": "", "/ssh/copy": "server vault", "/union/copy": "",
		"/butter fly/copy": "sdb sdc", "/pool/copy": "zfs pool tank", "/mapped/copy": "sda", "/nowhere": "",
	} {
		got := m.mediumOf(path, 0)
		text := strings.Join(got.disks, " ")
		if got.volatile {
			text = "volatile " + text
		}
		if text != want {
			t.Errorf("%s lies on %q, want %q", path, text, want)
		}
	}
}

// TestNoCopy: what shares a disk with the store, or may, is no copy; nothing that somebody declares makes one of what is proven.
func TestNoCopy(t *testing.T) {
	m := fakeMachine(t)
	for _, c := range []struct {
		store, target  string
		says, declared string // a part of the reason; empty: it is a copy
	}{
		{"/data/store", "/other/copy", "", ""},
		{"/data/store", "/nas/copy", "", ""},
		{"/data/store", "/pool/copy", "", ""},
		{"/data/store", "/bind/copy", "own disk", "own disk"},
		{"/data/store", "/lvm/copy", "own disk", "own disk"},
		{"/data/store", "/md/copy", "own disk", "own disk"},
		{"/data/store", "/loop2/copy", "own disk", "own disk"},
		{"/data/store", "/ram/copy", "RAM disk", "RAM disk"},
		{"/ram2/store", "/ram/copy", "RAM disk", "RAM disk"},
		{"/data/store", "/loop1/copy", "RAM disk", "RAM disk"},
		{"/nas/store", "/nas2/copy", "own disk", "own disk"},
		{"/data/store", "/self/copy", "can't be told", ""},
		{"/data/store", "/layer/copy", "can't be told", ""},
		{"/layer/store", "/data/copy", "the store lies on a disk that can't be told", ""},
	} {
		for declared, want := range map[bool]string{false: c.says, true: c.declared} {
			got := noCopy(m.mediumOf(c.store, 0), m.mediumOf(c.target, 0), declared)
			if (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%s of %s, declared %t: %q, want %q", c.target, c.store, declared, got, want)
			}
		}
	}
}

// TestServerMedium: a server on this machine is no other machine.
func TestServerMedium(t *testing.T) {
	m := fakeMachine(t)
	for endpoint, local := range map[string]bool{
		"http://127.0.0.1:9000": true, "http://127.8.8.8": true, "http://[::1]:9000": true, "https://LOCALHOST:9000": true, "http://minio.localhost": true, "http://0.0.0.0:9000": true,
		"http://192.168.1.7:9000": true, "http://thishost:9000": true, "http://192.168.1.8:9000": false, "https://nas.example": false, "": false, "https://s3.eu-west-1.amazonaws.com": false,
	} {
		disks, why := m.serverMedium(endpoint, "b", false)
		if strings.HasPrefix(why, "same machine") != local || local != (len(disks) == 0) {
			t.Errorf("%q: %v, %q; local %t", endpoint, disks, why, local)
		}
		if _, why := m.serverMedium(endpoint, "b", true); why != "" {
			t.Errorf("%q, declared: %q", endpoint, why)
		}
	}
	a, _ := m.serverMedium("https://nas.example", "a", false)
	b, _ := m.serverMedium("https://nas.example", "b", false)
	if !slices.Equal(a, b) {
		t.Errorf("two buckets of one server: %v and %v", a, b)
	}
}
