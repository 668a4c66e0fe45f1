// The one node: registers itself, binds Pods to itself, starts and ends them.
package main

import (
	"context"
	"log"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const nodeName = "lab"

type node struct {
	client kubernetes.Interface
	images imageMap
	dir    string
	ip     string
	net    network

	mu   sync.Mutex
	pods map[string]*pod // by UID
}

func (n *node) register(ctx context.Context) error {
	obj := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:   nodeName,
		Labels: map[string]string{corev1.LabelHostname: nodeName},
	}}
	created, err := n.client.CoreV1().Nodes().Create(ctx, obj, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		created, err = n.client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	}
	if err != nil {
		return err
	}
	created.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: n.ip}}
	created.Status.DaemonEndpoints.KubeletEndpoint.Port = logPort
	created.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "PodrunnerReady",
		LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}}
	_, err = n.client.CoreV1().Nodes().UpdateStatus(ctx, created, metav1.UpdateOptions{})
	return err
}

// observe brings one Pod a step further. It is called for every change to it.
func (n *node) observe(ctx context.Context, obj *corev1.Pod) {
	switch {
	case obj.DeletionTimestamp != nil:
		go n.finish(ctx, obj)
	case obj.Spec.NodeName == "":
		go n.bind(ctx, obj)
	case obj.Spec.NodeName == nodeName:
		n.launch(ctx, obj)
	}
}

func (n *node) bind(ctx context.Context, obj *corev1.Pod) {
	err := n.client.CoreV1().Pods(obj.Namespace).Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: obj.Name, Namespace: obj.Namespace, UID: obj.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: nodeName},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		log.Printf("bind %s/%s: %v", obj.Namespace, obj.Name, err)
	}
}

// launch starts a Pod that is not known yet: also one that ran before the podrunner was started again.
func (n *node) launch(ctx context.Context, obj *corev1.Pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	uid := string(obj.UID)
	if n.pods[uid] != nil {
		return
	}
	p := newPod(ctx, n, obj)
	n.pods[uid] = p
	go p.run()
}

// finish ends a Pod that is being deleted, then lets the API server drop it.
func (n *node) finish(ctx context.Context, obj *corev1.Pod) {
	select {
	case <-time.After(lingers(obj)):
	case <-ctx.Done():
	}
	n.forget(obj)
	now := int64(0)
	err := n.client.CoreV1().Pods(obj.Namespace).Delete(ctx, obj.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now,
		Preconditions:      &metav1.Preconditions{UID: &obj.UID},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		log.Printf("delete %s/%s: %v", obj.Namespace, obj.Name, err)
	}
}

// lingers tells for how long a Pod serves on after it was deleted: its longest preStop sleep, within its grace period.
func lingers(obj *corev1.Pod) time.Duration {
	var sleep int64
	for _, c := range obj.Spec.Containers {
		if c.Lifecycle != nil && c.Lifecycle.PreStop != nil && c.Lifecycle.PreStop.Sleep != nil {
			sleep = max(sleep, c.Lifecycle.PreStop.Sleep.Seconds)
		}
	}
	if grace := obj.DeletionGracePeriodSeconds; grace != nil {
		sleep = min(sleep, *grace)
	}
	return time.Duration(sleep) * time.Second
}

func (n *node) forget(obj *corev1.Pod) {
	n.mu.Lock()
	p := n.pods[string(obj.UID)]
	delete(n.pods, string(obj.UID))
	n.mu.Unlock()
	if p != nil {
		p.stop()
	}
}

func (n *node) stopAll() {
	n.mu.Lock()
	all := slices.Collect(maps.Values(n.pods))
	n.mu.Unlock()
	for _, p := range all {
		p.stop()
	}
}
