//go:build unix

package cli

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// terminalIn and terminalOut are the terminal that a process was started from.
const terminalIn, terminalOut = "/dev/tty", "/dev/tty"

// detach has a program started without this terminal: it can neither read what is typed
// here nor be stopped or ended from here.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// inForeground reports whether the shell has given the terminal to this command. Who
// reads or sets a terminal that is another's is stopped.
func inForeground(tty *os.File) bool {
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp() // no error where shells have jobs
}

// stopJob is Ctrl-Z where the terminal does not make it a signal: it stops this command,
// and those that it runs with, where there is a shell to let them go on.
func stopJob() { _ = syscall.Kill(0, syscall.SIGTSTP) }

// continued tells that the shell lets this command go on, in the foreground or in the
// background, until end is called. The terminal is then as the shell left it.
func continued() (told <-chan os.Signal, end func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGCONT)
	return c, func() { signal.Stop(c) }
}

// hideTyping has a terminal in the foreground show nothing of what is typed.
func hideTyping(tty *os.File) {
	state, err := unix.IoctlGetTermios(int(tty.Fd()), readTermios)
	if err != nil || !inForeground(tty) {
		return
	}
	state.Lflag &^= unix.ECHO
	_ = unix.IoctlSetTermios(int(tty.Fd()), writeTermios, state) // nothing more can be done about a terminal
}

// failBackgroundReads has reading another's terminal fail with EIO, until end is called,
// where it would stop this command.
func failBackgroundReads() (end func()) {
	signal.Ignore(syscall.SIGTTIN)
	return func() { signal.Reset(syscall.SIGTTIN) }
}
