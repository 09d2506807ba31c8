package pgtest

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
)

// watchScript waits until the pipe from the tests is closed, which the system
// does however they end, then stops the server that is still running, if any, and
// removes the directory.
const watchScript = `
cat >/dev/null
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ]; then
  kill -QUIT "$pid"
  while kill -0 "$pid"; do sleep 0.05; done
fi 2>/dev/null
rm -rf "$1"
`

// watcher is a small shell that outlives the tests and leaves nothing behind.
type watcher struct {
	cmd  *exec.Cmd
	pipe io.Closer
}

func watch(c *Cluster) (*watcher, error) {
	w := &watcher{cmd: exec.Command("sh", "-c", watchScript, "sh", c.dir)} //nolint:gosec,noctx // a fixed script, which outlives any context
	w.cmd.Dir, w.cmd.Env = "/", environment()
	c.as.run(w.cmd)
	pipe, err := w.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("watching over the cluster: %w", err)
	}
	w.pipe = pipe
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("watching over the cluster: %w", err)
	}
	return w, nil
}

// release lets the watcher clean up and waits for it.
func (w *watcher) release() error { return errors.Join(w.pipe.Close(), w.cmd.Wait()) }
