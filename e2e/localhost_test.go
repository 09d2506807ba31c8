//go:build e2e

package e2e

import (
	"os/exec"
	"strings"
	"testing"
)

// firstAddress is a program for Node that asks for a page of localhost as Node 18
// does: at the address that the system names first, and at no other.
const firstAddress = `
const lookup = (name, options, done) => options.all ? done(null, [{ address: process.argv[2], family: +process.argv[3] }]) : done(null, process.argv[2], +process.argv[3]);
require("node:http").get({ host: "localhost", port: process.argv[1], path: "/healthz", lookup, autoSelectFamily: false }, (r) => {
  console.log(r.statusCode);
  r.resume();
}).on("error", (e) => console.log(e.code));
`

func TestLocalhostIsFoundWhicheverAddressAProgramTriesFirst(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), "--listen", "localhost:0")
	_, port, _ := strings.Cut(strings.TrimPrefix(p.url, "http://"), ":")
	for address, family := range map[string]string{"127.0.0.1": "4", "::1": "6"} {
		out, err := exec.CommandContext(t.Context(), "node", "-e", firstAddress, port, address, family).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "200" {
			t.Errorf("localhost is %s: Node ends with %v and says %s", address, err, out)
		}
	}
}
