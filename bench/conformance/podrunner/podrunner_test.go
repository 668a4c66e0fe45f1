// Tests of the podrunner's pure parts; the rest is exercised by each run of the suite.
package main

import (
	"net/url"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestImageProgramIgnoresHostTagAndDigest(t *testing.T) {
	images := imageMap{"a/echo": "/bin/echo"}
	for image, want := range map[string]bool{
		"host:5000/a/echo":            true,
		"host:5000/a/echo:v1":         true,
		"host:5000/a/echo@sha256:abc": true,
		"a/echo":                      true,
		"host:5000/a/other:v1":        false,
		"host:5000/ba/echo":           false,
	} {
		if _, ok := images.program(image); ok != want {
			t.Errorf("program(%q) found = %v, want %v", image, ok, want)
		}
	}
}

func TestEnvPointsIntoVolumes(t *testing.T) {
	p := &pod{obj: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n"}}}
	got, err := p.env(&corev1.Container{
		VolumeMounts: []corev1.VolumeMount{{Name: "v", MountPath: "/etc/v"}},
		Env: []corev1.EnvVar{
			{Name: "FILE", Value: "/etc/v/crt"},
			{Name: "NEAR_MISS", Value: "/etc/vault"},
			{Name: "POD", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
		},
	}, map[string]string{"v": "/run/v"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"FILE=/run/v/crt", "NEAR_MISS=/etc/vault", "POD=p"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
}

func TestLogsSinceAndTail(t *testing.T) {
	start := time.Unix(1000, 0)
	o := &output{}
	for i, text := range []string{"a", "b", "c", "d"} {
		o.lines = append(o.lines, line{start.Add(time.Duration(i) * time.Second), text})
	}
	from, tail, err := logRange(url.Values{
		"sinceTime": {start.Add(time.Second).Format(time.RFC3339)}, "tailLines": {"2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := o.since(from, -1); len(got) != 3 || got[0].text != "b" {
		t.Errorf("since = %v", got)
	}
	if got := o.since(from, tail); len(got) != 2 || got[0].text != "c" {
		t.Errorf("since with tail = %v", got)
	}
}

func TestDeletedPodLingersForItsPreStopSleep(t *testing.T) {
	sleep := func(s int64) corev1.Container {
		return corev1.Container{Lifecycle: &corev1.Lifecycle{
			PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: s}},
		}}
	}
	grace := int64(5)
	for _, c := range []struct {
		containers []corev1.Container
		grace      *int64
		want       time.Duration
	}{
		{[]corev1.Container{{}}, &grace, 0},
		{[]corev1.Container{sleep(1), sleep(3)}, &grace, 3 * time.Second},
		{[]corev1.Container{sleep(9)}, &grace, 5 * time.Second},
		{[]corev1.Container{sleep(9)}, nil, 9 * time.Second},
	} {
		p := &corev1.Pod{Spec: corev1.PodSpec{Containers: c.containers}}
		p.DeletionGracePeriodSeconds = c.grace
		if got := lingers(p); got != c.want {
			t.Errorf("lingers(%v) = %v, want %v", c.containers, got, c.want)
		}
	}
}

func TestListenersAreCountedByState(t *testing.T) {
	table := "  sl  local_address rem_address   st\n" +
		"   0: 00000000:0BB8 00000000:0000 0A 00000000:00000000\n" +
		"   1: 0100007F:0BB8 0100007F:D431 01 00000000:00000000\n" +
		"   2: 00000000:0BB9 00000000:0000 0A 00000000:00000000\n"
	if got := inState(table, "0A"); got != 2 {
		t.Errorf("inState = %d, want 2", got)
	}
}
