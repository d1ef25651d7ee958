// Streams the microphone to Python: one connection for each value of `data.ask`, none if it is
// empty. What becomes of it is told as `told`: an offer, or a word on why there is none.

const FAILURES = {
  NotAllowedError: "denied",
  SecurityError: "insecure",
  NotFoundError: "missing",
}

const connections = new WeakMap()

export default function ({ data, parentElement, setStateValue }) {
  let connection = connections.get(parentElement)
  if (connection?.ask !== data.ask) {
    connection?.close()
    connection = new Connection(data, (told) => setStateValue("told", told))
    connections.set(parentElement, connection)
  }
  if (data.answer) connection.accept(data.answer)
  return () => connections.get(parentElement)?.close()
}

class Connection {
  constructor({ ask, constraints, iceServers }, tell) {
    this.ask = ask
    this.tell = (word, offer) => this.closed || tell({ ask, word, offer })
    if (!ask) return
    // A closed tab says good-bye; otherwise the server would find out by and by.
    addEventListener("pagehide", () => this.close(), { once: true })
    this.open(constraints, iceServers)
  }

  async open(audio, iceServers) {
    // Browsers give a microphone to pages opened over HTTPS or from the same computer only.
    if (!navigator.mediaDevices) return this.tell("insecure")
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio })
    } catch (error) {
      return this.tell(FAILURES[error.name] ?? "busy")
    }
    if (this.closed) return this.close() // stopped while the visitor was being asked
    this.tell("granted")
    try {
      await this.offer(iceServers)
    } catch (error) {
      console.warn(error)
      this.tell("failed")
    }
  }

  async offer(iceServers) {
    this.peer = new RTCPeerConnection({ iceServers })
    this.peer.onconnectionstatechange = () => {
      if (this.peer.connectionState === "failed") this.tell("failed")
    }
    for (const track of this.stream.getTracks()) {
      track.onended = () => this.tell("failed") // unplugged, or permission taken back
      this.peer.addTransceiver(track, { direction: "sendonly", streams: [this.stream] })
    }
    await this.peer.setLocalDescription()
    await this.gathered()
    this.tell("granted", this.peer.localDescription.sdp)
  }

  // Every address at which this computer can be reached goes into one offer.
  gathered() {
    return new Promise((resolve) => {
      const check = () => this.peer.iceGatheringState === "complete" && resolve()
      this.peer.onicegatheringstatechange = check
      check()
      setTimeout(resolve, 3000) // a TURN server that does not answer
    })
  }

  async accept(sdp) {
    if (this.peer?.signalingState !== "have-local-offer" || this.accepted) return
    this.accepted = true
    try {
      await this.peer.setRemoteDescription({ type: "answer", sdp })
    } catch (error) {
      console.warn(error)
      this.tell("failed")
    }
  }

  close() {
    this.closed = true
    this.peer?.close()
    for (const track of this.stream?.getTracks() ?? []) track.stop()
  }
}
