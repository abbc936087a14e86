// Carries connections from a port of this network namespace to the loopback of
// another one: it listens here, then becomes (through nsenter) a process over there
// that holds the listening socket. It ends with the other process namespace.
//
// usage: nsforward -pid PID -port-file FILE
//
// PID is a process in the namespaces to forward into. The port is a free one of
// 127.0.0.1, the same on both sides, and is written to FILE.
package main

import (
	"flag"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

func main() {
	pid := flag.Int("pid", 0, "a process in the namespaces to forward into")
	portFile := flag.String("port-file", "", "where to write the port")
	socket := flag.Int("socket", 0, "set by itself: the listening socket")
	flag.Parse()
	if *socket == 0 {
		check(moveInto(*pid, *portFile))
	}
	listener, err := net.FileListener(os.NewFile(uintptr(*socket), "listener"))
	check(err)
	for {
		client, err := listener.Accept()
		check(err)
		go carry(client.(*net.TCPConn), listener.Addr().String())
	}
}

// moveInto listens, writes down the port and starts over in the other namespaces.
// It returns only on failure.
func moveInto(pid int, portFile string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	socket, err := syscall.Dup(int(file.Fd())) // a copy that survives exec
	if err != nil {
		return err
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	if err := os.WriteFile(portFile+".new", []byte(port+"\n"), 0o644); err != nil {
		return err
	}
	if err := os.Rename(portFile+".new", portFile); err != nil {
		return err
	}
	return syscall.Exec(nsenter, []string{"nsenter", "-t", strconv.Itoa(pid), "-n", "-p", "--",
		self, "-socket", strconv.Itoa(socket)}, os.Environ())
}

// carry copies both ways until both sides are done.
func carry(client *net.TCPConn, address string) {
	defer client.Close()
	dialed, err := net.Dial("tcp", address)
	if err != nil {
		log.Print(err)
		return
	}
	server := dialed.(*net.TCPConn)
	defer server.Close()
	go func() {
		io.Copy(server, client)
		server.CloseWrite()
	}()
	io.Copy(client, server)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
