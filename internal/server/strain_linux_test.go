package server_test

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDisk mounts a disk of a few megabytes.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=6m"); err != nil {
		t.Skipf("no disk may be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.WriteString(strings.Repeat("x", 512))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

func TestWhereTheDiskIsFullClientsComeBackLaterAndFindRoom(t *testing.T) {
	onlySQLite(t)
	dir := smallDisk(t)
	h := newHouseAt(t, dir)
	cookie, d := h.signIn("alice"), h.ask("pub-a", "openid")
	h.open(cookie, d.userCode).wantOK()
	stuffing := filepath.Join(dir, "stuffing")
	fill(t, stuffing)
	full := 0
	for range 200 { // the log has room for a few
		r := h.postForm(codePath, url.Values{"client_id": {"pub-a"}, "scope": {strings.Repeat("openid ", 100)}})
		if r.status == http.StatusOK {
			continue
		}
		full++
		r.wantLater()
	}
	if full == 0 {
		t.Fatal("the disk never filled up")
	}
	h.postJSON(approvePath, map[string]any{"userCode": d.userCode}, "Cookie", cookie).wantLater()
	h.send(http.MethodGet, "/api/grants", "", "Cookie", cookie).wantOK() // what is kept can be read
	if err := os.Remove(stuffing); err != nil {
		t.Fatal(err)
	}
	h.approve(cookie, d.userCode)
	h.ask("pub-a", "openid")
}
