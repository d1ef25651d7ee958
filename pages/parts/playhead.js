// Moves a line over charts whose x axis is the player's time in seconds. A click on a chart, or on
// a stretch in the list, plays from there.

const following = new WeakMap() // by the element that this is mounted in

// Streamlit calls this anew whenever the data changes, and what it returns when it is all over.
export default function ({ data, parentElement }) {
  if (!following.has(parentElement)) following.set(parentElement, follow(parentElement))
  const { update, stop } = following.get(parentElement)
  update(data)
  return stop
}

function follow(parentElement) {
  const list = parentElement.querySelector("ol")
  const lines = new Set()
  let player = ""
  let charts = []
  let stretches = []
  let until = Infinity // where the stretch ends that is being played
  let frame = 0

  const audio = () => document.querySelector(`.st-key-${player} audio`)

  const play = (from, to = Infinity) => {
    const sound = audio()
    if (!sound) return
    until = to
    sound.currentTime = from
    sound.play()
  }

  const update = (data) => {
    player = data.player
    charts = data.charts
    until = Infinity
    stretches = data.stretches.map(({ start, end, text }) => {
      const button = document.createElement("button")
      button.type = "button"
      button.textContent = text
      button.onclick = () => play(start, end)
      return { start, end, button }
    })
    list.replaceChildren(
      ...stretches.map(({ button }) => {
        const item = document.createElement("li")
        item.append(button)
        return item
      })
    )
  }

  // Plotly keeps clicks to itself, so a click is what comes up where it went down.
  let down = null
  const onDown = (event) => {
    const chart = event.target.closest?.(".js-plotly-plot")
    const ours = charts.some((key) => chart?.closest(`.st-key-${key}`))
    down = ours && !event.target.closest(".modebar") ? { chart, event } : null
  }
  const onUp = (event) => {
    if (!down) return
    const moved = Math.hypot(event.clientX - down.event.clientX, event.clientY - down.event.clientY)
    const { xaxis } = down.chart._fullLayout
    const x = event.clientX - down.chart.getBoundingClientRect().left - xaxis._offset
    if (moved < 5 && x >= 0 && x <= xaxis._length) play(xaxis.p2l(x))
  }

  // The charts are drawn, and drawn anew, by others: every frame finds those that are there.
  const draw = () => {
    frame = requestAnimationFrame(draw)
    const sound = audio()
    if (!sound) return
    const time = sound.currentTime
    if (time >= until) {
      sound.pause()
      until = Infinity
    }
    for (const key of charts)
      document.querySelectorAll(`.st-key-${key} .js-plotly-plot`).forEach((chart) => place(chart, time))
    for (const { start, end, button } of stretches)
      button.toggleAttribute("aria-current", time > 0 && time >= start && time < end)
  }

  const place = (chart, time) => {
    const area = chart.querySelector(".svg-container")
    const { xaxis, _size: size } = chart._fullLayout ?? {}
    if (!area || !xaxis?._length) return
    let line = area.querySelector(".playhead")
    if (!line) {
      line = document.createElement("div")
      line.className = "playhead"
      Object.assign(line.style, {
        position: "absolute",
        width: "2px",
        marginLeft: "-1px",
        pointerEvents: "none",
        // Seen on the black of a spectrogram and on a white page.
        background: "#fff",
        boxShadow: "0 0 0 1px #000a",
      })
      area.append(line)
      lines.add(line)
    }
    const x = xaxis.l2p(time)
    line.hidden = time === 0 || x < 0 || x > xaxis._length
    line.style.left = `${xaxis._offset + x}px`
    line.style.top = `${size.t}px`
    line.style.height = `${size.h}px`
  }

  document.addEventListener("pointerdown", onDown, true)
  document.addEventListener("pointerup", onUp, true)
  draw()

  const stop = () => {
    cancelAnimationFrame(frame)
    document.removeEventListener("pointerdown", onDown, true)
    document.removeEventListener("pointerup", onUp, true)
    lines.forEach((line) => line.remove())
    following.delete(parentElement)
  }
  return { update, stop }
}
