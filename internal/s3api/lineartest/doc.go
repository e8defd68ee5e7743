// Package lineartest proves that the S3 door is linearizable: 32 clients put, get, delete and list, with and without conditions, against a real
// server that is killed and started again meanwhile; porcupine then looks for one order of all operations that explains every answer.
// That the search can fail is shown with proxies that lie in small ways.
package lineartest
