package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// loopbackHosts are the addresses that localhost stands for. Which of them a program
// tries first is its own affair: Node 18 takes the one that the hosts file names
// first and never the other.
var loopbackHosts = []string{"127.0.0.1", "::1"}

// absent is how systems say that a machine has no such address, or not its family.
// The last two are Windows'.
var absent = []error{syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT, syscall.Errno(10049), syscall.Errno(10047)}

// inUse is how they say that another program listens there.
var inUse = []error{syscall.EADDRINUSE, syscall.Errno(10048)}

func isAny(err error, those []error) bool {
	return slices.ContainsFunc(those, func(e error) bool { return errors.Is(err, e) })
}

// listenOn listens on all addresses; the caller closes what was opened, after an
// error too. localhost is both loopback addresses, with the same port: if another
// program had one of them, it would get those of our visitors who try that one first.
func listenOn(ctx context.Context, config *net.ListenConfig, addresses []string, log *slog.Logger) (listeners []net.Listener, err error) {
	for _, address := range addresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return listeners, fail(ExitUsage, "listening on "+address, err, "")
		}
		var opened []net.Listener
		switch ours := addressesOf(listeners); {
		case !strings.EqualFold(host, "localhost"):
			opened, err = listenEach(ctx, config, []string{host}, port, ours, log)
		case port == "0":
			opened, err = listenOnFreePort(ctx, config, log)
		default:
			opened, err = listenEach(ctx, config, loopbackHosts, port, ours, log)
		}
		if listeners = append(listeners, opened...); err != nil {
			return listeners, err
		}
	}
	return listeners, nil
}

// listenEach listens on one port of several hosts. What is ours already is left
// out, and so is a loopback address that this machine has not, if it has the other.
func listenEach(ctx context.Context, config *net.ListenConfig, hosts []string, port string, ours []string, log *slog.Logger) (listeners []net.Listener, err error) {
	var missing error
	for _, host := range hosts {
		address := net.JoinHostPort(host, port)
		if port != "0" && slices.Contains(ours, address) {
			continue
		}
		l, err := config.Listen(ctx, networkOf(host), address)
		switch {
		case err == nil:
			listeners = append(listeners, l)
			if _, port, err = net.SplitHostPort(l.Addr().String()); err != nil { // of the system's choice
				return listeners, err
			}
		case len(hosts) > 1 && isAny(err, absent):
			missing = errors.Join(missing, err)
			log.Info("this machine has not both loopback addresses: listening on the other one only", "missing", host)
		case len(hosts) > 1 && isAny(err, inUse):
			return listeners, &takenError{fail(ExitFailed, "listening on "+address,
				fmt.Errorf("another program listens there, and would get visitors of localhost:%s that are this server's", port),
				"Stop that program, or choose another port with --listen localhost:PORT")}
		default:
			return listeners, fail(ExitFailed, "listening on "+address, err, "Choose another address with --listen")
		}
	}
	if len(listeners) == 0 && missing != nil {
		return nil, fail(ExitFailed, "listening on localhost", missing, "Choose another address with --listen")
	}
	return listeners, nil
}

// networkOf keeps 0.0.0.0 to IPv4, as whoever names it means it: net would listen on
// all IPv6 addresses too.
func networkOf(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		return "tcp4"
	}
	return "tcp"
}

// takenError says that only one of the loopback addresses was free.
type takenError struct{ error }

// Unwrap returns what the system said of the address that was taken.
func (e *takenError) Unwrap() error { return e.error }

// listenOnFreePort finds a port that is free on both loopback addresses.
func listenOnFreePort(ctx context.Context, config *net.ListenConfig, log *slog.Logger) (listeners []net.Listener, err error) {
	const tries = 20 // a port that is free on one and taken on the other is rare
	for range tries {
		listeners, err = listenEach(ctx, config, loopbackHosts, "0", nil, log)
		if _, taken := errors.AsType[*takenError](err); !taken {
			return listeners, err
		}
		if err := errors.Join(closeAll(listeners)...); err != nil {
			return nil, err
		}
	}
	return nil, err
}

func closeAll(listeners []net.Listener) (errs []error) {
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	return errs
}

// addressesOf is where listeners listen.
func addressesOf(listeners []net.Listener) []string {
	addresses := make([]string, len(listeners))
	for i, l := range listeners {
		addresses[i] = l.Addr().String()
	}
	return addresses
}

// watched is a listener that says when connections cannot be taken, which net/http
// does by itself at a level that nobody reads: it is what a server without file
// descriptors looks like from inside.
type watched struct {
	net.Listener
	run *running
}

// lostEach is how often that is said.
const lostEach = 30 * time.Second

// Accept takes a connection, and logs now and then that it could not.
func (w watched) Accept() (net.Conn, error) {
	conn, err := w.Listener.Accept()
	if err == nil || errors.Is(err, net.ErrClosed) {
		return conn, err
	}
	now, last := time.Now().UnixNano(), w.run.connectionsLost.Load()
	if (last == 0 || now-last >= int64(lostEach)) && w.run.connectionsLost.CompareAndSwap(last, now) {
		w.run.log.Error("connections cannot be taken", "error", err)
	}
	return conn, err
}
