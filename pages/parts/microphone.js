// Streams the microphone to Python: one connection for each value of `data.ask`, none if it is
// empty. What becomes of it is told as `told`: an offer, or a word on why there is none; and, once
// the visitor lets it be heard, which microphones there are.

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
  constructor({ ask, constraints, wanted, iceServers }, tell) {
    this.ask = ask
    this.tell = (word, offer) =>
      this.closed || tell({ ask, word, offer, microphones: this.microphones })
    if (!ask) return
    // A closed tab says good-bye; otherwise the server would find out by and by.
    addEventListener("pagehide", () => this.close(), { once: true })
    this.open(constraints, wanted, iceServers)
  }

  async open(audio, wanted, iceServers) {
    // Browsers give a microphone to pages opened over HTTPS or from the same computer only.
    if (!navigator.mediaDevices) return this.tell("insecure")
    try {
      this.stream = await this.hear(audio, wanted)
    } catch (error) {
      return this.tell(FAILURES[error.name] ?? "busy")
    }
    this.microphones = await this.list().catch(() => [])
    if (this.closed) return this.close() // stopped while the visitor was being asked
    this.tell("granted")
    try {
      await this.offer(iceServers)
    } catch (error) {
      console.warn(error)
      this.tell("failed")
    }
  }

  async hear(audio, wanted) {
    if (wanted) {
      try {
        const chosen = { ...audio, deviceId: { exact: wanted } }
        return await navigator.mediaDevices.getUserMedia({ audio: chosen })
      } catch (error) {
        if (error.name !== "OverconstrainedError") throw error // else it was unplugged
      }
    }
    return navigator.mediaDevices.getUserMedia({ audio })
  }

  // Names by id, the one that is heard first. Browsers name them to pages that may hear them only.
  async list() {
    const heard = this.stream.getAudioTracks()[0].getSettings().deviceId
    const all = await navigator.mediaDevices.enumerateDevices()
    const named = all.filter(({ kind, label }) => kind === "audioinput" && label)
    named.sort((a, b) => (b.deviceId === heard) - (a.deviceId === heard))
    return named.map(({ deviceId, label }) => [deviceId, label])
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
