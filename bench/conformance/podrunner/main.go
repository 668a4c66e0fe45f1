// Runs the cluster's Pods as ordinary processes, one network namespace each:
// a one-node stand-in for scheduler, kubelet and container runtime.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const resync = 10 * time.Second

// imageMap maps an image name (no tag; the host may be left out) to the program
// that stands in for it.
type imageMap map[string]string

func (m imageMap) String() string { return fmt.Sprint(map[string]string(m)) }

func (m imageMap) Set(v string) error {
	name, program, ok := strings.Cut(v, "=")
	if !ok {
		return fmt.Errorf("want NAME=PROGRAM, got %q", v)
	}
	m[name] = program
	return nil
}

// program finds the stand-in for an image reference such as host/name:tag.
func (m imageMap) program(image string) (string, bool) {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		image = image[:colon]
	}
	for name, program := range m {
		if image == name || strings.HasSuffix(image, "/"+name) {
			return program, true
		}
	}
	return "", false
}

func main() {
	images := imageMap{}
	flag.Var(images, "image", "NAME=PROGRAM, repeatable: run PROGRAM for that image")
	kubeconfig := flag.String("kubeconfig", "", "path of the kubeconfig file")
	dir := flag.String("dir", "", "folder for Pod volumes and logs")
	prefix := flag.String("netns-prefix", "lab-pod-", "name prefix of the Pods' network namespaces")
	bridge := flag.String("bridge", "pods", "bridge that the Pods' links are attached to")
	nodeIP := flag.String("node-ip", "10.244.0.1", "the bridge's address: the node's own")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	cfg, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	cfg.QPS, cfg.Burst = 200, 400
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		log.Fatal(err)
	}

	n := &node{
		client: client, images: images, dir: *dir, ip: *nodeIP,
		net:  network{bridge: *bridge, prefix: *prefix, gateway: *nodeIP},
		pods: map[string]*pod{},
	}
	if err := n.serveLogs(); err != nil {
		log.Fatal(err)
	}
	if err := n.register(ctx); err != nil {
		log.Fatal(err)
	}

	// What failed while the API server was away is tried again at each resync.
	factory := informers.NewSharedInformerFactory(client, resync)
	_, err = factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { n.observe(ctx, obj.(*corev1.Pod)) },
		UpdateFunc: func(_, obj any) { n.observe(ctx, obj.(*corev1.Pod)) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			n.forget(obj.(*corev1.Pod))
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	n.stopAll()
}
