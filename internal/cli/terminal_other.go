//go:build !unix

package cli

import (
	"os"
	"os/exec"
)

// Here shells have no jobs, and what is started has no part in the console unless it
// asks for one.

const terminalIn, terminalOut = "CONIN$", "CONOUT$"

func detach(*exec.Cmd) {}

func inForeground(*os.File) bool { return true }

func stopJob() {}

func continued() (told <-chan os.Signal, end func()) { return nil, func() {} }

func hideTyping(*os.File) {}

func failBackgroundReads() (end func()) { return func() {} }
