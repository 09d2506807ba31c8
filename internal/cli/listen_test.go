package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign.dev/internal/config"
)

// listenAt starts a server that listens at addresses.
func listenAt(t *testing.T, log *bytes.Buffer, addresses ...string) (*running, error) {
	t.Helper()
	settings := demoSettings(t.TempDir())
	settings.Listen, settings.LogLevel, settings.LogFormat = addresses, "info", "json"
	run, err := startServer(t.Context(), &Env{Stderr: log, Now: time.Now, Rand: SystemEnv().Rand}, settings)
	if err == nil {
		t.Cleanup(func() {
			if err := run.stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	return run, err
}

// occupy listens on a loopback address as another program does, and returns the port.
func occupy(t *testing.T, host string) (port string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skipf("this machine has no %s: %v", host, err)
	}
	t.Cleanup(func() { _ = l.Close() })
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func answers(t *testing.T, address string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func TestLocalhostIsBothLoopbackAddressesWithOnePort(t *testing.T) {
	occupy(t, "::1") // there is IPv6
	run, err := listenAt(t, &bytes.Buffer{}, "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, found := strings.Cut(strings.TrimPrefix(run.settings.Issuer, "http://"), ":")
	if !found {
		t.Fatalf("the issuer is %s", run.settings.Issuer)
	}
	for _, host := range loopbackHosts {
		if !answers(t, net.JoinHostPort(host, port)) {
			t.Errorf("nobody answers at %s on the issuer's port", host)
		}
	}
}

func TestEveryIPv4AddressIsNoIPv6Address(t *testing.T) {
	occupy(t, "::1") // there is IPv6
	run, err := listenAt(t, &bytes.Buffer{}, "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, found := strings.Cut(strings.TrimPrefix(run.settings.Issuer, "http://"), ":")
	if !found {
		t.Fatalf("the issuer is %s", run.settings.Issuer)
	}
	if !answers(t, "127.0.0.1:"+port) {
		t.Error("nobody answers on IPv4")
	}
	if answers(t, "[::1]:"+port) {
		t.Error("0.0.0.0 is listened on with IPv6")
	}
}

func TestAPortThatAnotherProgramHasOnOneLoopbackAddressIsNotTaken(t *testing.T) {
	for _, host := range loopbackHosts {
		port := occupy(t, host)
		_, err := listenAt(t, &bytes.Buffer{}, "localhost:"+port)
		var said bytes.Buffer
		code := report(&Env{Stderr: &said}, err, false)
		want := "countersign: listening on " + net.JoinHostPort(host, port) + ": another program listens there, and would get visitors of localhost:" + port +
			" that are this server's\nStop that program, or choose another port with --listen localhost:PORT.\n"
		if code != ExitFailed || said.String() != want {
			t.Errorf("%s: exit code %d: %s", host, code, said.String())
		}
		// Nothing is left listening on the other one.
		for _, other := range loopbackHosts {
			if other != host && answers(t, net.JoinHostPort(other, port)) {
				t.Errorf("%s is still listened on", other)
			}
		}
	}
}

func TestAnAddressThatIsNamedTwiceIsListenedOnOnce(t *testing.T) {
	port := occupy(t, "127.0.0.3") // is free on the others, as far as anybody knows
	run, err := listenAt(t, &bytes.Buffer{}, "127.0.0.1:"+port, "localhost:"+port, "127.0.0.2:"+port)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range append(loopbackHosts, "127.0.0.2") {
		if !answers(t, net.JoinHostPort(host, port)) {
			t.Errorf("nobody answers at %s", host)
		}
	}
	if len(run.listening) != 3 {
		t.Errorf("it listens on %v", addressesOf(run.listening))
	}
}

func TestAMachineWithoutOneLoopbackAddressStartsOnTheOther(t *testing.T) {
	for _, family := range []struct{ network, missing string }{{"tcp6", "::1"}, {"tcp4", "127.0.0.1"}} {
		for _, says := range []error{syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT} {
			without := &net.ListenConfig{Control: func(network, _ string, _ syscall.RawConn) error {
				if network == family.network {
					return says
				}
				return nil
			}}
			for _, port := range []string{"0", freePort(t)} {
				var lines bytes.Buffer
				log := newLogger(&Env{Stderr: &lines}, &config.Settings{LogLevel: "info", LogFormat: "json"})
				listeners, err := listenOn(t.Context(), without, []string{"localhost:" + port}, log)
				if err != nil || len(listeners) != 1 {
					t.Fatalf("without %s (%v): %v, %v", family.missing, says, addressesOf(listeners), err)
				}
				if err := errors.Join(closeAll(listeners)...); err != nil {
					t.Error(err)
				}
				var line struct{ Level, Missing string }
				if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Level != "INFO" || line.Missing != family.missing {
					t.Errorf("it says %s", lines.String())
				}
			}
		}
	}
}

func TestAMachineWithoutLoopbackAddressesDoesNotStart(t *testing.T) {
	without := &net.ListenConfig{Control: func(string, string, syscall.RawConn) error { return syscall.EADDRNOTAVAIL }}
	log := newLogger(&Env{Stderr: &bytes.Buffer{}}, &config.Settings{LogLevel: "info", LogFormat: "json"})
	for _, address := range []string{"localhost:0", "localhost:1", "127.0.0.1:0"} {
		if listeners, err := listenOn(t.Context(), without, []string{address}, log); err == nil || len(listeners) != 0 {
			t.Errorf("%s: listens on %v", address, addressesOf(listeners))
		}
	}
}

// freePort is a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	return port
}
